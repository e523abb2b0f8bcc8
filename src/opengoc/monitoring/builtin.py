"""``[[probe]]`` tables of probes.toml: the built-in probes, and the services that they are for.

[[probe]]
kind = "certificate"             # http, certificate, ldap, xrootd, supported-vos
services = ["CE", "WebDAV"]
port = 9619                      # optional: else that of the endpoint, else the usual one
warn_days = 30

[[probe]]
kind = "issuer"                  # token issuers of VOs, as the registry names them
vos = ["cms"]                    # optional: else every VO that names one

[[probe]]
kind = "voms"                    # membership services of VOs, as the registry names them
ca = "/etc/grid-security/certificates"
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, model_validator

from opengoc.monitoring.model import Finding, Target
from opengoc.monitoring.probes import certificate, http, issuer, ldap, supported_vos, voms, xrootd
from opengoc.monitoring.probes.answers import could_not_probe
from opengoc.monitoring.probes.check import Probe
from opengoc.registry.model import VO, Resource
from opengoc.registry.snapshot import Registry

Kind = Literal["http", "certificate", "ldap", "xrootd", "supported-vos", "issuer", "voms"]

#: Services of the targets that belong to VOs; their resource is the VO.
ISSUER, VOMS = "Token issuer", "VOMS"
_OF_VOS = ("issuer", "voms")

_PORTS: Mapping[str, int] = {
    "certificate": 443,
    "ldap": ldap.PORT,
    "xrootd": xrootd.PORT,
    "supported-vos": ldap.PORT,
}


class Builtin(BaseModel):
    """One table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    #: Default: the kind.
    metric: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._:-]*)?$")] = ""
    services: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    vos: tuple[str, ...] = ()
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    #: Of http: what is asked for. Of ldap and supported-vos: the base of the search.
    path: str = "/"
    base: str = ""
    #: Of issuer and voms: file or folder of the authorities that must have signed.
    ca: Path | None = None
    warn_days: PositiveFloat = 21
    critical_days: PositiveFloat = 7
    interval_seconds: PositiveFloat | None = None
    timeout_seconds: PositiveFloat | None = None

    @model_validator(mode="after")
    def _says_what_it_is_for(self) -> Builtin:
        if self.kind in _OF_VOS:
            if self.services or self.resources:
                raise ValueError(f'kind = "{self.kind}" takes vos, no services')
        elif not self.services or self.vos or self.ca is not None:
            raise ValueError(f'kind = "{self.kind}" needs services, and takes no vos and no ca')
        return self

    @property
    def name(self) -> str:
        """The metric."""
        return self.metric or self.kind


class _NoAddress:
    """In the place of a probe whose service has no address."""

    def run(self, _timeout_seconds: float, /) -> Finding:
        """Says so."""
        return could_not_probe("the registry names no host for this service")


def probes_of(table: Builtin, registry: Registry) -> Iterator[tuple[str, Target, Probe]]:
    """Metric, target and probe for each service in use that the table is for."""
    if table.kind in _OF_VOS:
        yield from _of_vos(table, registry)
        return
    for resource in sorted(registry.resources.values(), key=lambda each: each.name):
        if not resource.in_use or (table.resources and resource.name not in table.resources):
            continue
        for kind in table.services:
            if resource.offers(kind):
                yield table.name, Target(resource.name, kind), _probe(table, resource, kind)


def _probe(table: Builtin, resource: Resource, kind: str) -> Probe:
    endpoint = resource.endpoint(kind)
    address = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    host = address.hostname or resource.fqdn
    if not host:
        return _NoAddress()
    if table.kind == "http":
        scheme = address.scheme if address.scheme in ("http", "https") else "https"
        port = table.port or address.port
        return http.HttpProbe(url=f"{scheme}://{host}{f':{port}' if port else ''}{table.path}")
    # The information system of a CE listens elsewhere than the CE.
    own_port = address.port if table.kind in ("certificate", "xrootd") else None
    port = table.port or own_port or _PORTS[table.kind]
    if table.kind == "certificate":
        return certificate.CertificateProbe(
            host=host,
            port=port,
            warn=timedelta(days=table.warn_days),
            critical=timedelta(days=table.critical_days),
        )
    if table.kind == "xrootd":
        return xrootd.XrootdProbe(host=host, port=port)
    if table.kind == "ldap":
        return ldap.LdapProbe(host=host, port=port, base=table.base or "o=grid")
    return supported_vos.SupportedVosProbe(
        host=host, port=port, base=table.base or "o=glue", allowed=frozenset(resource.allowed_vos)
    )


def _of_vos(table: Builtin, registry: Registry) -> Iterator[tuple[str, Target, Probe]]:
    wanted = {vo.casefold() for vo in table.vos}
    for vo in sorted(registry.vos.values(), key=lambda each: each.name):
        if (wanted and vo.name.casefold() not in wanted) or not vo.active or vo.disabled:
            continue
        if table.kind == "voms":
            # Of other VOs the address leads to pages for people: they are probed when they are named.
            if (url := str(vo.carried.get("MembershipServicesURL") or "")) and (wanted or "/voms" in url):
                yield table.name, Target(vo.name, VOMS), voms.VomsProbe(url=url, ca=table.ca)
            continue
        urls = _issuers(vo)
        for number, url in enumerate(urls, start=1):
            metric = table.name if len(urls) == 1 else f"{table.name}:{number}"
            yield metric, Target(vo.name, ISSUER), issuer.IssuerProbe(url=url, ca=table.ca)


def _issuers(vo: VO) -> list[str]:
    credentials = vo.carried.get("Credentials") or {}
    return [url for each in credentials.get("TokenIssuers") or () if (url := each.get("URL"))]
