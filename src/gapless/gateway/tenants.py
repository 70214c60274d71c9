"""What Azure's clients call a tenant: its directory ("tenant") id, and the id of its one workspace.

Both are the tenant's name, or where a client insists on a GUID, the one that is made of the name.
"""

from __future__ import annotations

import re
import uuid

#: Any value will do; another would give every tenant another GUID.
_SPACE = uuid.UUID("6b1f3a52-0c7e-5d94-9a53-7f2d1c8e4b60")
#: What azure-identity takes for a tenant's id.
_AS_IT_IS = re.compile(r"[A-Za-z0-9.-]+\Z")


def tenant_guid(tenant: str) -> str:
    """The GUID of a tenant: version 5 (RFC 9562), of its name."""
    return str(uuid.uuid5(_SPACE, tenant))


def azure_tenant_id(tenant: str) -> str:
    """What to tell Azure's clients: the name where they take it, else the GUID."""
    return tenant if _AS_IT_IS.match(tenant) else tenant_guid(tenant)


def means(text: str, tenant: str) -> bool:
    """Whether ``text``, the id of a tenant or workspace in a request, means ``tenant``."""
    return text == tenant or text.lower() == tenant_guid(tenant)
