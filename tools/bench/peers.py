#!/usr/bin/env python3
"""Compares Beadle with Otterdog and safe-settings on the same simulated GitHub.

The organisation is unchanged: every repository is as the policy declares it. The script prints the
calls, the time and the peak memory of each run. docs/benchmarks.md explains the table.

The script builds Beadle and the simulator, and fetches Otterdog from PyPI into target/peers. In the
fetched Otterdog, the script replaces the address of GitHub, because Otterdog has no option for
another address. safe-settings is not on npm: clone it, and set SAFE_SETTINGS to the path of the
clone.
"""

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "target/peers"
REPOSITORIES = int(os.environ.get("PEERS_REPOSITORIES", "30"))
LATENCY_MS = int(os.environ.get("PEERS_LATENCY_MS", "100"))
PORT = int(os.environ.get("PEERS_PORT", "7070"))
SAFE_SETTINGS = os.environ.get("SAFE_SETTINGS")
OTTERDOG = "1.7.0"
APP = "12345"
HOST = f"127.0.0.1:{PORT}"
API = f"http://{HOST}"

POLICY = """\
repository: { visibility: private, has_wiki: false, delete_branch_on_merge: true, topics: [managed] }
teams:
  - { name: platform, permission: admin }
  - { name: engineering, permission: push }
branches:
  - name: default
    protection: { required_pull_request_reviews: { required_approving_review_count: 1 }, enforce_admins: true }
"""

PERMISSIONS = {
    "actions": "write", "administration": "write", "checks": "write", "contents": "read", "issues": "write",
    "metadata": "read", "members": "read", "organization_administration": "write",
    "organization_custom_properties": "read", "pull_requests": "write", "repository_hooks": "write",
    "repository_custom_properties": "write",
}


def state():
    """Returns an organisation whose repositories are as the policy declares them."""
    def repository(contents):
        reviews = {"required_approving_review_count": 1}
        return {
            "visibility": "private", "has_wiki": False, "delete_branch_on_merge": True, "topics": ["managed"],
            "branches": {"main": {}}, "teams": {"platform": "admin", "engineering": "push"},
            "protection": {"main": {"enforce_admins": True, "required_pull_request_reviews": reviews}},
            "contents": contents,
        }
    repositories = {f"r{n:05}": repository({}) for n in range(REPOSITORIES)}
    repositories["admin"] = repository({".github/settings.yml": POLICY})
    teams = {"platform": {}, "engineering": {}}
    # Otterdog refuses this setting for a plan without private pages.
    settings = {"members_can_create_private_pages": False}
    acme = {"teams": teams, "repos": repositories, "permissions": PERMISSIONS, "settings": settings}
    return {"orgs": {"acme": acme}, "apps": {"beadle-app": {"id": int(APP)}}}


def request(method, path):
    """Sends a control request to the simulator, and returns the answer."""
    with urllib.request.urlopen(urllib.request.Request(API + path, method=method)) as answer:
        return answer.read().decode()


def run(*command, cwd=ROOT, env=None):
    subprocess.run(command, cwd=cwd, env=os.environ | (env or {}), check=True)


def simulate():
    """Starts the simulator, and waits until it answers."""
    (WORK / "state.json").write_text(json.dumps(state()))
    program = ROOT / "target/release/beadle-demo"
    simulator = subprocess.Popen(
        [program, "sim", "--github", HOST, "--state", WORK / "state.json", "--latency", str(LATENCY_MS)],
        stdout=subprocess.DEVNULL,
    )
    for _ in range(100):
        if simulator.poll() is not None:
            sys.exit("the simulator has ended: is its port in use? Set PEERS_PORT")
        try:
            request("GET", "/_sim/calls")
            return simulator
        except OSError:
            time.sleep(0.1)
    simulator.kill()
    sys.exit("the simulator does not answer")


def measure(name, command, cwd, env=None):
    """Runs a command, and prints what it needed. Its output is in target/peers."""
    request("DELETE", "/_sim/calls")
    request("DELETE", "/_sim/limits")
    with open(WORK / "output.log", "a") as log:
        print(f"== {name}", file=log, flush=True)
        begun = time.monotonic()
        child = subprocess.Popen(
            command, cwd=cwd, env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
    calls = json.loads(request("GET", "/_sim/calls"))
    writes = sum(1 for call in calls if call.get("writes") is True)
    # Tools ask whether something exists, so 404 is not a refusal.
    refused = sum(1 for call in calls if call["status"] >= 400 and call["status"] != 404)
    print(
        f"{name:32} {len(calls):>8} {len(calls) / REPOSITORIES:>8.2f} {writes:>7} {refused:>8} {took:>8.1f} "
        f"{usage.ru_maxrss // 1024:>6} {child.returncode:>5}"
    )


def beadle():
    folder = WORK / "beadle"
    (folder / "policy").mkdir(parents=True, exist_ok=True)
    (folder / "beadle.db").unlink(missing_ok=True)
    (folder / "policy/settings.yml").write_text(POLICY)
    (folder / "app.pem").write_text(request("GET", "/_sim/app.pem"))
    (folder / "beadle.toml").write_text(
        f'[[org]]\nname = "acme"\napi = "{API}"\npolicy = "policy"\nwebhook_secrets = []\n'
        f'app = {{ id = {APP}, key = "file:app.pem" }}\n'
    )
    command = [ROOT / "target/release/beadle", "--config", folder / "beadle.toml", "sweep"]
    for row in ["first", "second"]:
        measure(f"Beadle, sweep, {row}", command, folder)


def otterdog():
    environment = WORK / "otterdog"
    python = environment / "bin/python"
    if not (environment / "ready").exists():
        run(sys.executable, "-m", "venv", "--clear", environment)
        run(python, "-m", "pip", "install", "--quiet", f"otterdog=={OTTERDOG}")
        # The package on PyPI has the defaults of the policy only in its sources.
        download = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        run(python, *download, "--dest", WORK, f"otterdog=={OTTERDOG}")
        (environment / "ready").touch()
    redirect(environment)
    folder = WORK / "otterdog-config"
    # Otterdog caches answers in the working directory.
    run("rm", "-rf", folder)
    vendor = folder / "orgs/acme/vendor/otterdog"
    vendor.mkdir(parents=True)
    with tarfile.open(WORK / f"otterdog-{OTTERDOG}.tar.gz") as sources:
        for member in sources.getmembers():
            if "/examples/template/" in member.name and member.name.endswith(".libsonnet"):
                content = sources.extractfile(member).read()
                (vendor / pathlib.PurePosixPath(member.name).name).write_bytes(content)
    template = "https://github.com/eclipse-csi/otterdog#otterdog-defaults.libsonnet@main"
    organisation = {
        "name": "acme", "github_id": "acme", "credentials": {"provider": "env", "api_token": "SIM_TOKEN"},
    }
    config = {
        "defaults": {"jsonnet": {"base_template": template, "config_dir": "orgs"}},
        "organizations": [organisation],
    }
    (folder / "otterdog.json").write_text(json.dumps(config))
    token = json.loads(request("POST", "/_sim/tokens"))["token"]
    program, env = environment / "bin/otterdog", {"SIM_TOKEN": token}
    options = ["--local", "--no-web-ui", "acme"]
    # The import makes the policy equal to the live state, so that the plan finds no change.
    measure("Otterdog, import", [program, "import", "--force", *options], folder, env)
    for row in ["first", "second"]:
        measure(f"Otterdog, plan, {row}", [program, "plan", *options], folder, env)


def redirect(environment):
    """Replaces the address of GitHub in the fetched Otterdog by the address of the simulator."""
    (client,) = environment.glob("lib/python*/site-packages/otterdog/providers/github")
    for file, before, after in [
        ("rest/__init__.py", '_GH_API_URL_ROOT = "', HOST),
        ("graphql.py", '_GH_GRAPHQL_URL_ROOT = "', f"{HOST}/graphql"),
    ]:
        lines = (client / file).read_text().splitlines(keepends=True)
        found = [n for n, line in enumerate(lines) if before in line]
        if len(found) != 1:
            sys.exit(f"Otterdog's file {file} has no line with {before}: this script is for {OTTERDOG}")
        start = lines[found[0]].split(before)[0]
        lines[found[0]] = f'{start}{before}{after}"\n'
        (client / file).write_text("".join(lines))
    for file in ["rest/requester.py", "graphql.py"]:
        text = (client / file).read_text()
        (client / file).write_text(text.replace('f"https://{', 'f"http://{'))


def safe_settings():
    if SAFE_SETTINGS is None:
        print("(safe-settings is left out: set SAFE_SETTINGS to the path of a clone)")
        return
    clone = pathlib.Path(SAFE_SETTINGS).resolve()
    if not (clone / "node_modules").exists():
        run("npm", "ci", "--omit=dev", "--silent", cwd=clone)
    env = {
        "APP_ID": APP, "PRIVATE_KEY": request("GET", "/_sim/app.pem"), "WEBHOOK_SECRET": "unused",
        "GHE_HOST": HOST, "GHE_PROTOCOL": "http", "NODE_ENV": "production", "LOG_LEVEL": "warn",
    }
    for row in ["first", "second"]:
        measure(f"safe-settings, full sync, {row}", ["node", "full-sync.js"], clone, env)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "output.log").unlink(missing_ok=True)
    run("cargo", "build", "--release", "--bin", "beadle", "--bin", "beadle-demo")
    simulator = simulate()
    try:
        print(f"{REPOSITORIES} repositories as declared, {LATENCY_MS} ms a call, GitHub's limits\n")
        print(
            f"{'':32} {'calls':>8} {'a repo':>8} {'writes':>7} {'refused':>8} {'s':>8} {'MiB':>6} {'exit':>5}"
        )
        for tool in [beadle, otterdog, safe_settings]:
            tool()
    finally:
        simulator.kill()
        simulator.wait()


main()
