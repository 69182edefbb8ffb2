"""`headrace env`: the variables by which official tools find this server.

Names: official SDK credential chain (ALIBABA_CLOUD_…), Terraform provider `alicloud`
(ALICLOUD_…, {SERVICE}_ENDPOINT), Serverless Devs (FC_CLIENT_CUSTOM_ENDPOINT and
default_serverless_devs_key). Prints the secret: that is what it is for.
"""

from __future__ import annotations

import enum
import json
import shlex
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from headrace.cli import client, options, servers
from headrace.cli.show import output

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class Shell(enum.StrEnum):
    sh = "sh"
    fish = "fish"
    json = "json"


_HINT: Final = (
    '# SDKs: endpoint "{host}", protocol "http".\n'
    '# Terraform: also protocol = "HTTP" in the provider "alicloud" block.\n'
    "# Serverless Devs: access: default_serverless_devs_key in s.yaml."
)


@app.command()
def env(
    shell: Annotated[Shell, typer.Option("--shell", help="For which shell.")] = Shell.sh,
    endpoint: options.Endpoint = "",
) -> None:
    """Print exports for the official SDKs, Terraform and Serverless Devs.

    Use it as: eval "$(headrace env)"; in fish: headrace env --shell fish | source
    """
    place = client.place_of(endpoint)
    with client.Client(place) as server:
        status = server.native("GET", "status")
    found = variables(place, status["account"], status["region"])
    if shell is Shell.json:
        output.machine(found, options.Format.JSON)
        return
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}" if shell is Shell.sh else _fish(name, value))
    print(_HINT.format(host=urlsplit(place.url).netloc))


def variables(place: servers.Place, account: str, region: str) -> dict[str, str]:
    """Return name and value of every variable."""
    url, key = place
    host = urlsplit(url).netloc
    serverless = {
        "AccountID": account,
        "AccessKeyID": key.access_key_id,
        "AccessKeySecret": key.secret,
    }
    return {
        "HEADRACE_ENDPOINT": url,
        "HEADRACE_ACCESS_KEY_ID": key.access_key_id,
        "HEADRACE_ACCESS_KEY_SECRET": key.secret,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
        "ALIBABA_CLOUD_REGION_ID": region,
        "ALICLOUD_ACCESS_KEY": key.access_key_id,
        "ALICLOUD_SECRET_KEY": key.secret,
        "ALICLOUD_ACCOUNT_ID": account,
        "ALICLOUD_REGION": region,
        "EVENTBRIDGE_ENDPOINT": host,
        "FC_ENDPOINT": host,
        "FC_CLIENT_CUSTOM_ENDPOINT": url,
        "default_serverless_devs_key": json.dumps(serverless, separators=(",", ":")),
    }


def _fish(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"
