// Runs octokit against the simulated GitHub and prints a line for each step: `ok STEP`, or `missing STEP STATUS MESSAGE`.
// A failed step does not stop the other steps.

import assert from "node:assert/strict";
import { createAppAuth } from "@octokit/auth-app";
import { Octokit } from "@octokit/rest";

const { GITHUB_URL: baseUrl, APP_ID, APP_KEY: privateKey } = process.env;
const org = "acme";
const at = { owner: org, repo: "shop" };

const silent = () => {};
const log = { debug: silent, info: silent, warn: silent, error: silent };
const client = (installationId) => {
    // octokit writes the id as a number into the claim `iss`.
    const auth = { appId: Number(APP_ID), privateKey };
    if (installationId) auth.installationId = installationId;
    return new Octokit({ baseUrl, log, authStrategy: createAppAuth, auth });
};
const names = (rows) => rows.map((row) => row.name).sort();

// The calls of the App itself.
const app = client(undefined);
await step("app", async () => {
    const { data } = await app.rest.apps.getAuthenticated();
    assert.equal(data.id, Number(APP_ID));
});
await step("installations", async () => {
    const all = await app.paginate(app.rest.apps.listInstallations);
    assert.equal(all.length, 1);
});
const installation = await step("installation.organisation", async () => {
    const { data } = await app.rest.apps.getOrgInstallation({ org });
    assert.equal(data.account.login, org);
    return data;
});
const installationId = installation?.id ?? 0;
await step("installation", async () => {
    const { data } = await app.rest.apps.getInstallation({ installation_id: installationId });
    assert.equal(data.id, installationId);
});
await step("installation.repository", async () => {
    const { data } = await app.rest.apps.getRepoInstallation(at);
    assert.equal(data.id, installationId);
});
await step("token", async () => {
    const { token, permissions } = await app.auth({ type: "installation", installationId });
    assert.match(token, /^ghs_/);
    assert.equal(permissions.administration, "write");
});
await step("token.narrow", async () => {
    const wanted = { type: "installation", installationId, repositoryNames: ["shop"], permissions: { metadata: "read" } };
    const { permissions, repositorySelection } = await app.auth(wanted);
    assert.deepEqual(permissions, { metadata: "read" });
    assert.equal(repositorySelection, "selected");
});

// The calls of the App's installation.
const octokit = client(installationId);
const { actions, checks, git, issues, orgs, rateLimit, repos, search, teams, users } = octokit.rest;
await step("repositories.pages", async () => {
    const all = await octokit.paginate(octokit.rest.apps.listReposAccessibleToInstallation, { per_page: 2 });
    assert.deepEqual(names(all), ["docs", "shop", "site", "stock", "till"]);
});
await step("repositories.links", async () => {
    const { headers } = await repos.listForOrg({ org, per_page: 2, page: 2 });
    for (const rel of ["first", "prev", "next", "last"]) {
        assert.match(headers.link, new RegExp(`rel="${rel}"`));
    }
});
await step("organisation", async () => {
    const { data } = await orgs.get({ org });
    assert.equal(data.login, org);
});
await step("organisation.repositories", async () => {
    const all = await octokit.paginate(repos.listForOrg, { org, per_page: 2 });
    assert.equal(all.length, 5);
});
await step("organisation.members", async () => {
    const all = await octokit.paginate(orgs.listMembers, { org });
    assert.ok(all.length > 0);
});
await step("organisation.member", async () => {
    const { status } = await orgs.checkMembershipForUser({ org, username: "ann" });
    assert.equal(status, 204);
});
await step("user", async () => {
    const { data } = await users.getByUsername({ username: "ann" });
    assert.equal(data.login, "ann");
});
await step("limits", async () => {
    const { data } = await rateLimit.get();
    assert.ok(data.resources.core.limit > 0);
});

await step("repository", async () => {
    const { data } = await repos.get(at);
    assert.equal(data.full_name, "acme/shop");
    assert.equal(typeof data.permissions.admin, "boolean");
});
await step("repository.unchanged", async () => {
    const { headers } = await repos.get(at);
    const again = repos.get({ ...at, headers: { "if-none-match": headers.etag } });
    const answer = await again.then(({ status }) => status, ({ status }) => status);
    assert.equal(answer, 304);
});
await step("repository.update", async () => {
    const { data } = await repos.update({ ...at, description: "changed", has_wiki: false });
    assert.deepEqual([data.description, data.has_wiki], ["changed", false]);
});
await step("repository.create", async () => {
    const { data } = await repos.createInOrg({ org, name: "made", private: true });
    assert.equal(data.full_name, "acme/made");
});
await step("repository.delete", async () => {
    await repos.delete({ owner: org, repo: "made" });
});

await step("topics", async () => {
    const { data } = await repos.getAllTopics(at);
    assert.deepEqual(data.names, ["kept"]);
});
await step("topics.replace", async () => {
    const { data } = await repos.replaceAllTopics({ ...at, names: ["kept", "new"] });
    assert.deepEqual(data.names, ["kept", "new"]);
});

await step("labels", async () => {
    const all = await octokit.paginate(issues.listLabelsForRepo, { ...at, per_page: 1 });
    assert.deepEqual(names(all), ["old", "older"]);
});
await step("label.create", async () => {
    const { data } = await issues.createLabel({ ...at, name: "bug", color: "cc0000", description: "is broken" });
    assert.equal(data.name, "bug");
});
await step("label", async () => {
    const { data } = await issues.getLabel({ ...at, name: "bug" });
    assert.equal(data.color, "cc0000");
});
await step("label.update", async () => {
    const { data } = await issues.updateLabel({ ...at, name: "bug", new_name: "a defect", color: "00cc00" });
    assert.deepEqual([data.name, data.color], ["a defect", "00cc00"]);
});
await step("label.delete", async () => {
    await issues.deleteLabel({ ...at, name: "a defect" });
});

await step("teams", async () => {
    const all = await octokit.paginate(teams.list, { org, per_page: 2 });
    assert.equal(all.length, 4);
});
const team = { org, team_slug: "makers" };
await step("team.create", async () => {
    const { data } = await teams.create({ org, name: "Makers", privacy: "closed" });
    assert.equal(data.slug, "makers");
});
await step("team", async () => {
    const { data } = await teams.getByName(team);
    assert.equal(data.name, "Makers");
});
await step("team.update", async () => {
    const { data } = await teams.updateInOrg({ ...team, description: "they make" });
    assert.equal(data.description, "they make");
});
await step("team.join", async () => {
    const { data } = await teams.addOrUpdateMembershipForUserInOrg({ ...team, username: "ann", role: "maintainer" });
    assert.equal(data.state, "active");
});
await step("team.membership", async () => {
    const { data } = await teams.getMembershipForUserInOrg({ ...team, username: "ann" });
    assert.equal(data.role, "maintainer");
});
await step("team.members", async () => {
    const all = await octokit.paginate(teams.listMembersInOrg, { ...team, role: "all" });
    assert.deepEqual(all.map(({ login }) => login), ["ann"]);
});
await step("team.leave", async () => {
    await teams.removeMembershipForUserInOrg({ ...team, username: "ann" });
});
await step("team.grant", async () => {
    await teams.addOrUpdateRepoPermissionsInOrg({ ...team, ...at, permission: "push" });
});
await step("team.repositories", async () => {
    const all = await octokit.paginate(teams.listReposInOrg, team);
    assert.deepEqual(names(all), ["shop"]);
});
await step("team.permissions", async () => {
    const mediaType = { format: "repository+json" };
    const { data } = await teams.checkPermissionsForRepoInOrg({ ...team, ...at, mediaType });
    assert.equal(data.permissions.push, true);
});
await step("repository.teams", async () => {
    const all = await octokit.paginate(repos.listTeams, at);
    assert.deepEqual(all.map(({ slug, permission }) => [slug, permission]), [["makers", "push"]]);
});
await step("team.revoke", async () => {
    await teams.removeRepoInOrg({ ...team, ...at });
});
await step("team.delete", async () => {
    await teams.deleteInOrg(team);
});

await step("collaborator.add", async () => {
    const { status } = await repos.addCollaborator({ ...at, username: "ann", permission: "push" });
    assert.equal(status, 204);
});
await step("collaborators", async () => {
    const all = await octokit.paginate(repos.listCollaborators, at);
    assert.deepEqual(all.map(({ login, permissions }) => [login, permissions.push]), [["ann", true]]);
});
await step("collaborator", async () => {
    const { status } = await repos.checkCollaborator({ ...at, username: "ann" });
    assert.equal(status, 204);
});
await step("collaborator.permission", async () => {
    const { data } = await repos.getCollaboratorPermissionLevel({ ...at, username: "ann" });
    assert.equal(data.permission, "write");
});
await step("collaborator.remove", async () => {
    await repos.removeCollaborator({ ...at, username: "ann" });
});
const invitation = await step("invitation.create", async () => {
    const { status, data } = await repos.addCollaborator({ ...at, username: "dan", permission: "pull" });
    assert.equal(status, 201);
    return data;
});
await step("invitations", async () => {
    const all = await octokit.paginate(repos.listInvitations, at);
    assert.equal(all[0].invitee.login, "dan");
});
await step("invitation.update", async () => {
    const { data } = await repos.updateInvitation({ ...at, invitation_id: invitation?.id ?? 0, permissions: "write" });
    assert.equal(data.permissions, "write");
});
await step("invitation.delete", async () => {
    await repos.deleteInvitation({ ...at, invitation_id: invitation?.id ?? 0 });
});

const branch = { ...at, branch: "main" };
await step("branches", async () => {
    const all = await octokit.paginate(repos.listBranches, at);
    assert.deepEqual(names(all), ["main", "next/one"]);
});
await step("branch", async () => {
    const { data } = await repos.getBranch({ ...at, branch: "next/one" });
    assert.equal(data.protected, false);
});
await step("protection", async () => {
    const { data } = await repos.getBranchProtection(branch);
    assert.equal(data.enforce_admins.enabled, false);
});
await step("protection.update", async () => {
    const { data } = await repos.updateBranchProtection({
        ...branch,
        enforce_admins: true,
        required_pull_request_reviews: { required_approving_review_count: 2 },
        required_status_checks: { strict: true, contexts: ["test"] },
        restrictions: null,
    });
    assert.equal(data.required_pull_request_reviews.required_approving_review_count, 2);
});
await step("protection.reviews", async () => {
    await repos.getPullRequestReviewProtection(branch);
});
await step("protection.delete", async () => {
    await repos.deleteBranchProtection(branch);
});
await step("branch.rename", async () => {
    await repos.renameBranch({ ...at, branch: "next/one", new_name: "next/two" });
});
await step("branch.rules", async () => {
    await octokit.paginate(repos.getBranchRules, branch);
});

const refs = { ref_name: { include: ["~DEFAULT_BRANCH"], exclude: [] } };
const ruleset = await step("ruleset.create", async () => {
    const wanted = { name: "kept", target: "branch", enforcement: "active", conditions: refs, rules: [{ type: "deletion" }] };
    const { data } = await repos.createRepoRuleset({ ...at, ...wanted });
    assert.equal(data.name, "kept");
    return data;
});
const ruleset_id = ruleset?.id ?? 0;
await step("rulesets", async () => {
    const all = await octokit.paginate(repos.getRepoRulesets, { ...at, includes_parents: false });
    assert.deepEqual(names(all), ["kept"]);
});
await step("ruleset", async () => {
    const { data } = await repos.getRepoRuleset({ ...at, ruleset_id });
    assert.deepEqual(data.rules, [{ type: "deletion" }]);
});
await step("ruleset.update", async () => {
    const { data } = await repos.updateRepoRuleset({ ...at, ruleset_id, enforcement: "disabled" });
    assert.equal(data.enforcement, "disabled");
});
await step("ruleset.delete", async () => {
    await repos.deleteRepoRuleset({ ...at, ruleset_id });
});
const whole = await step("organisation.ruleset.create", async () => {
    const conditions = { ...refs, repository_name: { include: ["s*"], exclude: [] } };
    const wanted = { name: "all", target: "branch", enforcement: "active", conditions, rules: [{ type: "deletion" }] };
    const { data } = await repos.createOrgRuleset({ org, ...wanted });
    return data;
});
await step("organisation.rulesets", async () => {
    const all = await octokit.paginate(repos.getOrgRulesets, { org });
    assert.deepEqual(names(all), ["all"]);
});
await step("organisation.ruleset.delete", async () => {
    await repos.deleteOrgRuleset({ org, ruleset_id: whole?.id ?? 0 });
});

const autolink = await step("autolink.create", async () => {
    const wanted = { key_prefix: "TICKET-", url_template: "https://tickets.example.com/<num>", is_alphanumeric: true };
    const { data } = await repos.createAutolink({ ...at, ...wanted });
    return data;
});
const autolink_id = autolink?.id ?? 0;
await step("autolinks", async () => {
    const { data } = await repos.listAutolinks(at);
    assert.deepEqual(data.map(({ key_prefix }) => key_prefix), ["TICKET-"]);
});
await step("autolink", async () => {
    const { data } = await repos.getAutolink({ ...at, autolink_id });
    assert.equal(data.key_prefix, "TICKET-");
});
await step("autolink.delete", async () => {
    await repos.deleteAutolink({ ...at, autolink_id });
});

const hook = await step("hook.create", async () => {
    const config = { url: "https://ci.example.com/hook", content_type: "json", insecure_ssl: "0", secret: "hidden" };
    const { data } = await repos.createWebhook({ ...at, config, events: ["push"], active: true });
    assert.notEqual(data.config.secret, "hidden");
    return data;
});
const hook_id = hook?.id ?? 0;
await step("hooks", async () => {
    const all = await octokit.paginate(repos.listWebhooks, at);
    assert.equal(all.length, 1);
});
await step("hook", async () => {
    const { data } = await repos.getWebhook({ ...at, hook_id });
    assert.deepEqual(data.events, ["push"]);
});
await step("hook.update", async () => {
    const { data } = await repos.updateWebhook({ ...at, hook_id, add_events: ["issues"] });
    assert.deepEqual(data.events, ["push", "issues"]);
});
await step("hook.config.update", async () => {
    const { data } = await repos.updateWebhookConfigForRepo({ ...at, hook_id, content_type: "form" });
    assert.equal(data.content_type, "form");
});
await step("hook.ping", async () => {
    await repos.pingWebhook({ ...at, hook_id });
});
await step("hook.delete", async () => {
    await repos.deleteWebhook({ ...at, hook_id });
});

// These calls use routes, because the names of the methods differ between versions.
await step("properties.update", async () => {
    const properties = [{ property_name: "tier", value: "gold" }];
    await octokit.request("PATCH /repos/{owner}/{repo}/properties/values", { ...at, properties });
});
await step("properties", async () => {
    const { data } = await octokit.request("GET /repos/{owner}/{repo}/properties/values", at);
    assert.deepEqual(data, [{ property_name: "tier", value: "gold" }]);
});
await step("organisation.properties", async () => {
    const all = await octokit.paginate("GET /orgs/{org}/properties/values", { org, per_page: 2 });
    assert.equal(all.length, 5);
});
await step("properties.schema", async () => {
    const { data } = await octokit.request("GET /orgs/{org}/properties/schema", { org });
    assert.deepEqual(data.map(({ property_name }) => property_name), ["tier"]);
});

await step("actions.update", async () => {
    await actions.setGithubActionsPermissionsRepository({ ...at, enabled: true, allowed_actions: "local_only" });
});
await step("actions", async () => {
    const { data } = await actions.getGithubActionsPermissionsRepository(at);
    assert.equal(data.allowed_actions, "local_only");
});
await step("actions.token", async () => {
    const { data } = await actions.getGithubActionsDefaultWorkflowPermissionsRepository(at);
    assert.equal(data.default_workflow_permissions, "read");
});
await step("alerts.enable", async () => {
    await repos.enableVulnerabilityAlerts(at);
});
await step("alerts", async () => {
    const { status } = await repos.checkVulnerabilityAlerts(at);
    assert.equal(status, 204);
});
await step("alerts.disable", async () => {
    await repos.disableVulnerabilityAlerts(at);
});

await step("file", async () => {
    const { data } = await repos.getContent({ ...at, path: ".github/settings.yml" });
    assert.equal(Buffer.from(data.content, "base64").toString(), "x: ä\n");
});
await step("file.raw", async () => {
    const { data } = await repos.getContent({ ...at, path: ".github/settings.yml", mediaType: { format: "raw" } });
    assert.equal(data, "x: ä\n");
});
await step("folder", async () => {
    const { data } = await repos.getContent({ ...at, path: ".github" });
    assert.deepEqual(names(data), ["repos", "settings.yml"]);
});
await step("tree", async () => {
    const { data } = await git.getTree({ ...at, tree_sha: "main", recursive: "1" });
    assert.equal(data.tree.length, 5);
});
await step("commits", async () => {
    const all = await octokit.paginate(repos.listCommits, at);
    assert.equal(all.length, 1);
});
await step("commit", async () => {
    const { data } = await repos.getCommit({ ...at, ref: "main" });
    assert.match(data.sha, /^[0-9a-f]{40}$/);
});
await step("file.write", async () => {
    const content = Buffer.from("y").toString("base64");
    await repos.createOrUpdateFileContents({ ...at, path: "new.yml", message: "Add", content });
});
await step("ref", async () => {
    await git.getRef({ ...at, ref: "heads/main" });
});
await step("readme", async () => {
    await repos.getReadme(at);
});
await step("environments", async () => {
    await repos.getAllEnvironments(at);
});
await step("issues", async () => {
    await octokit.paginate(issues.listForRepo, at);
});
await step("check.create", async () => {
    const { data } = await repos.getCommit({ ...at, ref: "main" });
    await checks.create({ ...at, name: "policy", head_sha: data.sha });
});
await step("search", async () => {
    await search.repos({ q: "org:acme" });
});

await step("graphql", async () => {
    const query = `query shop($owner: String!, $name: String!) {
        repository(owner: $owner, name: $name) {
            name labels(first: 1) { nodes { name } pageInfo { hasNextPage endCursor } }
        }
    }`;
    const { repository } = await octokit.graphql(query, { owner: org, name: "shop" });
    assert.equal(repository.labels.pageInfo.hasNextPage, true);
});
