"""Spans of requests: an incoming W3C traceparent is continued, its sampling decision kept.

A span object costs tens of microseconds, so it is made only for requests that are sampled:
the caller's flag decides, and without a caller the configured ratio. Requests that are slow or
fail on the server are noted in the ring anyway, so that a load test can find them by trace id.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

Note = dict[str, Any]
_RING = 4096
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Ring(SpanProcessor):
    """The newest finished spans, in memory."""

    def __init__(self) -> None:
        self._notes: deque[Note] = deque(maxlen=_RING)

    def on_end(self, span: ReadableSpan) -> None:
        """Keep one finished span."""
        context, parent = span.context, span.parent
        if context is None or span.start_time is None or span.end_time is None:
            return
        self.add(
            {
                "trace_id": format_trace_id(context.trace_id),
                "span_id": format_span_id(context.span_id),
                "parent_id": None if parent is None else format_span_id(parent.span_id),
                "name": span.name,
                "start": span.start_time / 1e9,
                "seconds": (span.end_time - span.start_time) / 1e9,
                "sampled": True,
                "attributes": dict(span.attributes or {}),
            }
        )

    def add(self, note: Note) -> None:
        """Keep one note of a request."""
        self._notes.append(note)

    def find(self, trace_id: str | None, slower_than: float, limit: int) -> list[Note]:
        """The newest notes first, of one trace when given."""
        found = []
        for note in reversed(self._notes):
            if trace_id is not None and note["trace_id"] != trace_id:
                continue
            if note["seconds"] >= slower_than:
                found.append(note)
                if len(found) == limit:
                    break
        return found


class Tracer:
    """Starts and ends the span of a request."""

    def __init__(self, *, ratio: float, slow_seconds: float) -> None:
        self.ring = Ring()
        self._ratio = ratio
        self._slow_seconds = slow_seconds
        self._provider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON),
            resource=Resource({"service.name": "refcrm"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(self.ring)
        if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
        ):
            exporter = OTLPSpanExporter()
            self._provider.add_span_processor(
                BatchSpanProcessor(exporter, max_queue_size=65536, schedule_delay_millis=500)
            )
        self._tracer = self._provider.get_tracer("refcrm")

    def start(self, method: str, route: str, parent: SpanContext | None) -> Span | None:
        """The span of a request, None when it is not sampled."""
        if parent is None:
            if random.random() >= self._ratio:
                return None
            context = None
        elif parent.trace_flags.sampled:
            context = set_span_in_context(NonRecordingSpan(parent))
        else:
            return None
        attributes = {"http.request.method": method, "http.route": route}
        return self._tracer.start_span(
            f"{method} {route}", context, SpanKind.SERVER, attributes=attributes
        )

    def finish(
        self,
        span: Span | None,
        parent: SpanContext | None,
        name: str,
        status: int,
        seconds: float,
        attributes: Mapping[str, Any],
    ) -> None:
        """End the span; without one, note the request if it was slow or the server failed."""
        if span is not None:
            span.set_attribute("http.response.status_code", status)
            span.set_attributes(attributes)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
            span.end()
        elif seconds >= self._slow_seconds or status >= 500:
            self.ring.add(_unsampled(parent, name, status, seconds, attributes))

    def close(self) -> None:
        """Export what is left."""
        self._provider.shutdown()


def parse_traceparent(header: bytes | None) -> SpanContext | None:
    """The caller's span from a W3C traceparent header; None when absent or malformed."""
    matched = None if header is None else _TRACEPARENT.fullmatch(header)
    if matched is None or matched[1] == b"ff" or (matched[1] == b"00" and matched[5]):
        return None
    trace_id, span_id, flags = (int(part, 16) for part in matched.group(2, 3, 4))
    if trace_id == 0 or span_id == 0:
        return None
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))


def _unsampled(
    parent: SpanContext | None,
    name: str,
    status: int,
    seconds: float,
    attributes: Mapping[str, Any],
) -> Note:
    return {
        "trace_id": None if parent is None else format_trace_id(parent.trace_id),
        "span_id": None,
        "parent_id": None if parent is None else format_span_id(parent.span_id),
        "name": name,
        "start": time.time() - seconds,
        "seconds": seconds,
        "sampled": False,
        "attributes": {"http.response.status_code": status, **attributes},
    }
