"""Resource logs of key vaults and application gateways, as Azure Monitor puts them into AzureDiagnostics."""

from __future__ import annotations

from gapless.services.organisation import Organisation
from gapless.services.recipe import Body, Columns, Node, Pick, zipf
from gapless.services.slots import decimal, hexadecimal, number, word


def _diagnostics_columns(organisation: Organisation, group: str, kind: str, name: str) -> Columns:
    provider, _, resource_type = kind.partition("/")
    return {
        **organisation.resource_columns(group, kind, name),
        "ResourceId": organisation.resource_id(group, kind, name).upper(),
        "SubscriptionId": organisation.subscriptions[0].subscription_id,
        "ResourceGroup": group.upper(),
        "ResourceProvider": provider.upper(),
        "ResourceType": resource_type.upper(),
        "Resource": name.upper(),
    }


def _vault(organisation: Organisation) -> Node:
    """Key Vault: reads of secrets and use of keys."""

    def request(operation: str, path: str) -> Columns:
        uri = f"https://{organisation.company}-kv.vault.azure.net/{path}"
        return {"OperationName": operation, "id_s": uri, "requestUri_s": f"{uri}?api-version=7.4"}

    operations = zipf(
        (
            request("SecretGet", "secrets/${secret}/${version}"),
            request("KeySign", "keys/signing/${version}/sign"),
            request("KeyDecrypt", "keys/storage/${version}/decrypt"),
            request("SecretList", "secrets"),
            request("CertificateGet", "certificates/${secret}"),
        )
    )
    callers = zipf(
        {
            "CallerIPAddress": one.address,
            "identity_claim_appid_g": one.app_id,
            "identity_claim_oid_g": one.object_id,
            "clientInfo_s": "azsdk-net-Security.KeyVault.Secrets/4.6.0 (.NET 8.0.8; Linux)",
        }
        for one in organisation.workloads
    )

    def result(kind: str, signature: str, code: int) -> Columns:
        return {
            "ResultType": kind,
            "ResultSignature": signature,
            "httpStatusCode_d": code,
            "isAccessPolicyMatch_b": code != 403,
        }

    results = Pick(
        [
            (96, result("Success", "OK", 200)),
            (2, result("Failed", "Forbidden", 403)),
            (2, result("Failed", "Not Found", 404)),
        ]
    )
    common = {
        "Category": "AuditEvent",
        "OperationVersion": "7.4",
        "DurationMs": "${duration:n}",
        **_diagnostics_columns(
            organisation, "rg-platform", "Microsoft.KeyVault/vaults", f"{organisation.company}-kv"
        ),
    }
    return (common, operations, callers, results)


def _gateway(organisation: Organisation) -> Columns:
    return {
        **_diagnostics_columns(
            organisation, "rg-network", "Microsoft.Network/applicationGateways", f"{organisation.company}-agw"
        ),
        "instanceId_s": "appgw_${instance}",
        "clientIP_s": "198.18.${block}.${octet}",
        "requestUri_s": "/api/v2/${path}/${secret}",
        "host_s": f"www.{organisation.domain}",
        "transactionId_g": "${version}",
    }


def _access(organisation: Organisation) -> Node:
    """Requests that an application gateway passed on."""
    common = {
        **_gateway(organisation),
        "Category": "ApplicationGatewayAccessLog",
        "OperationName": "ApplicationGatewayAccess",
        "httpVersion_s": "HTTP/2.0",
        "clientPort_d": "${port:n}",
        "receivedBytes_d": "${received:n}",
        "sentBytes_d": "${sent:n}",
        "timeTaken_d": "${taken:n}",
        "sslProtocol_s": "TLSv1.3",
        "sslCipher_s": "TLS_AES_256_GCM_SHA384",
        "listenerName_s": "https-public",
        "ruleName_s": "api",
        "serverRouted_s": "10.4.1.${octet}:443",
    }
    statuses = Pick(
        [
            (weight, {"httpMethod_s": method, "httpStatusCode_d": code, "serverStatus_s": str(code)})
            for weight, method, code in (
                (780, "GET", 200),
                (90, "POST", 201),
                (70, "GET", 304),
                (40, "GET", 404),
                (12, "POST", 401),
                (5, "GET", 502),
                (3, "POST", 503),
            )
        ]
    )
    agents = zipf({"userAgent_s": user.clients[0].device.user_agent} for user in organisation.users[:12])
    return (common, statuses, agents)


def _firewall(organisation: Organisation) -> Node:
    """Requests that a gateway's firewall matched against its rules."""
    common = {
        **_gateway(organisation),
        "Category": "ApplicationGatewayFirewallLog",
        "OperationName": "ApplicationGatewayFirewall",
        "ruleSetType_s": "OWASP_CRS",
        "ruleSetVersion_s": "3.2.0",
        "hostname_s": f"www.{organisation.domain}",
        "Level": "Warning",
    }
    rules = zipf(
        {"ruleId_s": rule, "Message": message, "action_s": action}
        for rule, message, action in (
            ("920350", "Host header is a numeric IP address", "Matched"),
            ("942100", "SQL injection attack detected via libinjection", "Blocked"),
            ("913101", "Found user agent associated with a scripting client", "Matched"),
            ("941100", "XSS attack detected via libinjection", "Blocked"),
            ("930120", "OS file access attempt", "Blocked"),
        )
    )
    details = {"AdditionalFields": {"details_data_s": "found within ARGS:${path}", "policyScope_s": "Global"}}
    return (common, rules, details)


def body(organisation: Organisation) -> Body:
    """Requests to vaults and through gateways, and what the gateways' firewalls saw in them."""
    common = {"CorrelationId": "${id}", "TenantId": organisation.workspace_id, "SourceSystem": "Azure"}
    kinds = Pick([(50, _access(organisation)), (40, _vault(organisation)), (10, _firewall(organisation))])
    slots = {
        "version": hexadecimal(16),
        "secret": word(
            "db-main", "db-replica", "smtp", "webhook", "storage", "partner", "session", "signing"
        ),
        "path": word("orders", "invoices", "stock", "customers", "health", "search"),
        "duration": number((0, 2), (500, 14), (950, 90), (1000, 2600)),
        "port": number((0, 1024), (1000, 65_535)),
        "received": number((0, 180), (500, 900), (950, 4200), (1000, 900_000)),
        "sent": number((0, 120), (500, 2600), (950, 48_000), (1000, 12_000_000)),
        "taken": decimal((0, 0), (900, 0), (990, 2), (1000, 30)),
        "instance": number((0, 0), (1000, 4)),
        "block": number((0, 0), (1000, 256)),
        "octet": number((0, 1), (1000, 255)),
    }
    return Body((common, kinds), slots)
