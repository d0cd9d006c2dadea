# Sourced by the other scripts: the tools of .venv and .tools first, and whatever they cache or
# scribble stays inside the project instead of the home directory.
cd "$(dirname "$0")/.." || exit 4
root=$(pwd)
PATH="$root/.venv/bin:$root/.tools/usr/bin:$PATH"
XDG_CACHE_HOME="$root/.tools/cache"
ANSIBLE_HOME="$root/.tools/ansible"
ANSIBLE_LOCAL_TEMP="$root/.tools/ansible/tmp"
GX_ANALYTICS_ENABLED=false
PYTHONDONTWRITEBYTECODE=
PYTHONPATH=
export PATH XDG_CACHE_HOME ANSIBLE_HOME ANSIBLE_LOCAL_TEMP GX_ANALYTICS_ENABLED
unset PYTHONDONTWRITEBYTECODE PYTHONPATH
