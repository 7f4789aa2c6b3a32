"""Every error the backend raises on purpose.

Each message says what was found and what is needed; `/status`, the log and the start-up output show
it as it is, so no message may carry a token.
"""

from __future__ import annotations


class AlfaMixError(Exception):
    """Base of all errors raised on purpose."""


class SettingsError(AlfaMixError):
    """A setting from the environment or the command line is unknown or out of range."""


class RequestError(AlfaMixError):
    """A request to the backend does not hold what it must."""


class LabelConfigError(AlfaMixError):
    """The project's label config is not one `<Image>` with one single-choice `<Choices>`."""


class LabelStudioError(AlfaMixError):
    """Label Studio refused a request or answered something unexpected."""


class LabelStudioUnreachableError(LabelStudioError):
    """Label Studio does not answer; worth trying again later."""


class LabelStudioUnauthorizedError(LabelStudioError):
    """No token, or a token that Label Studio does not accept."""


class ImageError(AlfaMixError):
    """The image of one task cannot be had or read; the task is skipped with this reason."""


class PrivateAddressError(ImageError):
    """The image's host leads to an address that is not public, and nobody named it.

    host: what is to be named in ALFAMIX_IMAGE_HOSTS where images are to come from there.
    """

    def __init__(self, message: str, host: str) -> None:
        super().__init__(message)
        self.host = host


class WeightsError(AlfaMixError):
    """The backbone is unknown or its weights cannot be had or do not fit."""


class AcquisitionError(AlfaMixError):
    """A strategy was given arrays, a budget or an option that it cannot work with."""


class StoreError(AlfaMixError):
    """Something in MODEL_DIR is damaged, missing or cannot be written."""


class StoreUnavailableError(StoreError):
    """A file cannot be read now, by the file system's fault and not the file's; worth a retry."""


class JournalError(StoreError):
    """The journal cannot be read or written now: it is locked or away, or the disk is full."""


class JournalLockedError(JournalError):
    """Another process writes, and was waited for."""


class JournalDamagedError(JournalError):
    """The journal is damaged or gone; waiting does not help, its copy may."""


class LeaseLostError(StoreError):
    """Another worker took the project over: this one may write nothing of it any more."""


class PretrainingError(AlfaMixError):
    """Self-supervised pre-training cannot start or has to stop."""


class DemoError(AlfaMixError):
    """The demo's Label Studio, images or project cannot be had."""


class BacktestError(AlfaMixError):
    """A backtest cannot start: too few labels, or an option that does not suit the project."""
