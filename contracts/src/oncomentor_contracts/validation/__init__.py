"""What is wrong with something a center submits, said the same by the center's client and the hub.

Every function is pure, and returns the problems in the order of the fields, at most
`LIMIT` of them: enough to mend a record by, and no work without end for a hostile one.
"""

from oncomentor_contracts.validation.institution import institution_problems
from oncomentor_contracts.validation.person import (
    consents_to,
    contact_problems,
    person_problems,
    survivor_problems,
)
from oncomentor_contracts.validation.programme import programme_problems
from oncomentor_contracts.validation.rules import LIMIT
from oncomentor_contracts.validation.schema import problems_of

__all__ = [
    "LIMIT",
    "consents_to",
    "contact_problems",
    "institution_problems",
    "person_problems",
    "problems_of",
    "programme_problems",
    "survivor_problems",
]
