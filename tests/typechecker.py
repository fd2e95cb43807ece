"""How annotations are checked while the tests run: by beartype, with whole numbers allowed where a float is asked for."""

from beartype import BeartypeConf, beartype

CONFIGURATION = BeartypeConf(is_pep484_tower=True, claw_is_pep526=False)
checked = beartype(conf=CONFIGURATION)
