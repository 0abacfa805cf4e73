"""One error tree. Each message is one sentence or two: what was given, what is expected, what to do.

Whatever a person or an owner can cause derives from `NightSchoolError`; the programs print its text and exit with
status 1 (command line) or show it on the page (chat). Anything else is a defect and keeps its traceback.
"""


class NightSchoolError(Exception):
    """Base of all errors that are told in plain words."""


class BadInput(NightSchoolError):
    """What was given cannot be used: an empty prompt, an unknown id, a second vote, a malformed file."""


class UnknownVersion(BadInput):
    """No version of that name is registered."""


class DamagedVersion(NightSchoolError):
    """A version's files do not match its manifest, or belong to another base model."""


class ChampionChanged(NightSchoolError):
    """Another version answers than the one that a new version was compared with."""


class ModelUnavailable(NightSchoolError):
    """The base model cannot be loaded."""


class StoreError(NightSchoolError):
    """The database could not be opened, read or written."""


class NewerSchema(StoreError):
    """The database was written by a newer NightSchool."""


class NightAlreadyRunning(NightSchoolError):
    """Another process holds the lock of the night."""


class AddressInUse(NightSchoolError):
    """The chat's address is taken by another program."""
