"""The pages, one file each: layout and wiring. A handler reads the event, calls one use case and shows the result."""
