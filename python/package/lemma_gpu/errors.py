"""What can fail. Every failure of the engine is an `Error` with a `kind`, and also the built-in that fits it."""


class Error(RuntimeError):
    """A failure with where, what, what was expected and what was there in its text."""

    kind: str = "error"


class NoAdapterError(Error):
    """No adapter fits the request."""

    kind = "no-adapter"


class DeviceError(Error):
    """The device was lost, or refused a kernel: a new model opens it anew."""

    kind = "device"


class DeviceMemoryError(Error, MemoryError):
    """The device has no memory left; smaller batches may do."""

    kind = "memory"


class FileError(Error, OSError):
    """A file could not be read or written."""

    kind = "io"


class FormatError(Error, ValueError):
    """A file is not what it claims to be."""

    kind = "format"


class ShapeError(Error, ValueError):
    """An image or a tensor has a size that does not fit."""

    kind = "shape"


class ArgumentError(Error, ValueError):
    """An argument is out of its range."""

    kind = "argument"


class ResultError(Error):
    """A result failed its own check, as for NaN."""

    kind = "result"


class CancelledError(Error):
    """The work was asked to stop."""

    kind = "cancelled"


_KINDS = {
    kind.kind: kind
    for kind in (
        NoAdapterError,
        DeviceError,
        DeviceMemoryError,
        FileError,
        FormatError,
        ShapeError,
        ArgumentError,
        ResultError,
        CancelledError,
    )
}


def of_kind(kind: str, message: str) -> Error:
    """The error of a kind; what the native module raises."""
    return _KINDS.get(kind, Error)(message)
