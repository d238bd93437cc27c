"""Events as they happen, by websocket and server-sent events, from any sequence on."""
