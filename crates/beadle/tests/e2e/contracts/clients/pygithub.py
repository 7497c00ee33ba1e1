"""Runs PyGithub against the simulated GitHub and prints a line for each step: `ok STEP`, or `missing STEP STATUS MESSAGE`.

A failed step does not stop the other steps.
"""

import os

from github import Auth, GithubIntegration

ORG = "acme"


def step(name, run):
    try:
        found = run()
    except Exception as error:
        status = getattr(error, "status", None) or type(error).__name__
        text = " ".join(str(error).split())[:400]
        print(f"missing {name} {status} {text}", flush=True)
        return None
    print(f"ok {name}", flush=True)
    return found


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"
    return found


def names(rows):
    return sorted(row.name for row in rows)


def kept(found, **wanted):
    for name, value in wanted.items():
        same(getattr(found, name), value)
    return found


# The calls of the App itself. The client does not wait between calls, and does not retry a failed call.
integration = GithubIntegration(
    auth=Auth.AppAuth(os.environ["APP_ID"], os.environ["APP_KEY"]),
    base_url=os.environ["GITHUB_URL"],
    timeout=60,
    per_page=2,
    retry=None,
    seconds_between_requests=None,
    seconds_between_writes=None,
)
step("app", lambda: kept(integration.get_app(), slug="beadle-app"))
step("installations", lambda: same(len(list(integration.get_installations())), 1))
installation = step("installation.organisation", lambda: integration.get_org_installation(ORG))
number = installation.id if installation else 0
step("installation", lambda: kept(integration.get_app_installation(number), id=number))
step("installation.repository", lambda: kept(integration.get_repo_installation(ORG, "shop"), id=number))
step("token", lambda: same(integration.get_access_token(number).token[:4], "ghs_"))
all_of_them = ["docs", "shop", "site", "stock", "till"]
step("repositories.pages", lambda: same(names(installation.get_repos()), all_of_them))

# The calls of the App's installation.
hub = integration.get_github_for_installation(number)
org = step("organisation", lambda: kept(hub.get_organization(ORG), login=ORG))
step("organisation.repositories", lambda: same(names(org.get_repos()), all_of_them))
step("organisation.members", lambda: list(org.get_members()))
ann = step("user", lambda: kept(hub.get_user("ann"), login="ann"))
step("organisation.member", lambda: same(org.has_in_members(ann), True))
step("limits", hub.get_rate_limit)

shop = step("repository", lambda: kept(hub.get_repo("acme/shop"), full_name="acme/shop"))


def updated():
    shop.edit(description="changed", has_wiki=False)
    return kept(shop, description="changed", has_wiki=False)


step("repository.update", updated)
made = step("repository.create", lambda: kept(org.create_repo("made"), full_name="acme/made"))
step("repository.delete", lambda: made.delete())

step("topics", lambda: same(shop.get_topics(), ["kept"]))
step("topics.replace", lambda: shop.replace_topics(["kept", "new"]))

step("labels", lambda: same(names(shop.get_labels()), ["old", "older"]))
step("label.create", lambda: kept(shop.create_label("bug", "cc0000", "is broken"), name="bug"))
label = step("label", lambda: kept(shop.get_label("bug"), color="cc0000"))


def relabelled():
    label.edit("a defect", "00cc00", "is broken")
    return kept(label, name="a defect", color="00cc00")


step("label.update", relabelled)
step("label.delete", lambda: label.delete())

step("teams", lambda: same(len(list(org.get_teams())), 4))
step("team.create", lambda: kept(org.create_team("Makers", privacy="closed"), slug="makers"))
team = step("team", lambda: kept(org.get_team_by_slug("makers"), name="Makers"))


def described():
    team.edit("Makers", description="they make")
    return kept(team, description="they make")


step("team.update", described)
step("team.join", lambda: team.add_membership(ann, "maintainer"))
step("team.membership", lambda: kept(team.get_team_membership("ann"), role="maintainer"))
step("team.members", lambda: same([one.login for one in team.get_members()], ["ann"]))
step("team.leave", lambda: team.remove_membership(ann))
step("team.grant", lambda: same(team.update_team_repository(shop, "push"), True))
step("team.repositories", lambda: same(names(team.get_repos()), ["shop"]))
step("team.permissions", lambda: same(team.get_repo_permission(shop).push, True))
step("repository.teams", lambda: same([one.slug for one in shop.get_teams()], ["makers"]))
step("team.revoke", lambda: team.remove_from_repos(shop))
step("team.delete", lambda: team.delete())

step("collaborator.add", lambda: shop.add_to_collaborators("ann", "push"))
step("collaborators", lambda: same([one.login for one in shop.get_collaborators()], ["ann"]))
step("collaborator", lambda: same(shop.has_in_collaborators("ann"), True))
step("collaborator.permission", lambda: same(shop.get_collaborator_permission("ann"), "write"))
step("collaborator.remove", lambda: shop.remove_from_collaborators("ann"))
step("invitation.create", lambda: shop.add_to_collaborators("dan", "pull"))
invited = step("invitations", lambda: list(shop.get_pending_invitations())) or [None]
step("invitation.delete", lambda: shop.remove_invitation(invited[0].id))

step("branches", lambda: same(names(shop.get_branches()), ["main", "next/one"]))
step("branch.other", lambda: kept(shop.get_branch("next/one"), protected=False))
main = step("branch", lambda: kept(shop.get_branch("main"), protected=True))
step("protection", lambda: kept(main.get_protection(), enforce_admins=False))
step("protection.update", lambda: main.edit_protection(enforce_admins=True, required_approving_review_count=2))
step("protection.reviews", lambda: main.get_required_pull_request_reviews())
step("protection.delete", lambda: main.remove_protection())

autolink = step(
    "autolink.create", lambda: shop.create_autolink("TICKET-", "https://tickets.example.com/<num>", True)
)
step("autolinks", lambda: same([one.key_prefix for one in shop.get_autolinks()], ["TICKET-"]))
step("autolink.delete", lambda: same(shop.remove_autolink(autolink), True))

ci = {"url": "https://ci.example.com/hook", "content_type": "json"}
created = step("hook.create", lambda: shop.create_hook("web", ci, ["push"], True))
step("hooks", lambda: same(len(list(shop.get_hooks())), 1))
hook = step("hook", lambda: kept(shop.get_hook(created.id), events=["push"]))


def rehooked():
    hook.edit("web", ci, events=["push", "issues"])
    return kept(hook, events=["push", "issues"])


step("hook.update", rehooked)
step("hook.ping", lambda: hook.ping())
step("hook.delete", lambda: hook.delete())

step("properties.update", lambda: shop.update_custom_properties({"tier": "gold"}))
step("properties", lambda: same(shop.get_custom_properties(), {"tier": "gold"}))
step("properties.schema", lambda: same(len(list(org.get_custom_properties())), 1))
step("organisation.properties", lambda: same(len(list(org.list_custom_property_values())), 5))

step("alerts.enable", lambda: same(shop.enable_vulnerability_alert(), True))
step("alerts", lambda: same(shop.get_vulnerability_alert(), True))
step("alerts.disable", lambda: same(shop.disable_vulnerability_alert(), True))

text = "x: \u00e4\n".encode()
step("file", lambda: same(shop.get_contents(".github/settings.yml").decoded_content, text))
step("folder", lambda: same(names(shop.get_contents(".github")), ["repos", "settings.yml"]))
step("tree", lambda: same(len(shop.get_git_tree("main", recursive=True).tree), 5))
step("commits", lambda: same(len(list(shop.get_commits())), 1))
step("commit", lambda: same(len(shop.get_commit("main").sha), 40))
step("file.write", lambda: shop.create_file("new.yml", "Add", "y"))
step("ref", lambda: shop.get_git_ref("heads/main"))
step("readme", lambda: shop.get_readme())
step("environments", lambda: list(shop.get_environments()))
step("issues", lambda: list(shop.get_issues()))
step("check.create", lambda: shop.create_check_run("policy", shop.get_commit("main").sha))
step("search", lambda: list(hub.search_repositories("org:acme")))

QUERY = """query shop($owner: String!, $name: String!) {
  repository(owner: $owner, name: $name) { name labels(first: 1) { nodes { name } pageInfo { hasNextPage } } }
}"""


def asked():
    _, found = hub.requester.graphql_query(QUERY, {"owner": ORG, "name": "shop"})
    return same(found["data"]["repository"]["labels"]["pageInfo"]["hasNextPage"], True)


step("graphql", asked)
