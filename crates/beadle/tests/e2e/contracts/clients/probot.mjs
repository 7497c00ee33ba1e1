// Runs a Probot app against the simulated GitHub and prints a line for each step: `ok STEP`, or `missing STEP STATUS MESSAGE`.
// The simulator delivers the webhooks. The handlers of the webhooks make the calls of safe-settings.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createNodeMiddleware, Probot } from "probot";

const { GITHUB_URL: baseUrl, APP_ID: appId, APP_KEY: privateKey } = process.env;
const secret = "a secret of this test";
const org = "acme";
const admin = { owner: org, repo: "admin" };

// A log line on the standard output would look like a step.
const probot = new Probot({ appId, privateKey, secret, baseUrl, logLevel: "fatal" });
await probot.ready();

// Waits for a webhook. The handler ends immediately, because the simulator waits only 10 s for an answer.
const heard = {};
const awaited = (event, fits) =>
    new Promise((resolve) => {
        heard[event] = (context) => fits(context.payload) && resolve(context);
    });
const created = awaited("repository.created", ({ repository }) => repository.name === "till");
const pushed = awaited("push", ({ repository, commits }) => repository.name === "admin" && commits.length > 0);
const edited = awaited("repository.edited", ({ changes }) => changes.default_branch !== undefined);
const middleware = await createNodeMiddleware(
    (app) => {
        for (const event of Object.keys(heard)) app.on(event, (context) => void heard[event](context));
    },
    { probot },
);
const server = createServer((request, response) =>
    middleware(request, response, () => response.writeHead(404).end()),
);
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

// Sends a control request to the simulator. GitHub has no such call.
async function control(method, path, body) {
    const answer = await fetch(`${baseUrl}/_sim/${path}`, { method, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${method} ${path} answers ${answer.status}`);
}
const change = (repos) => control("PATCH", "state?webhooks=true", { orgs: { [org]: { repos } } });
await control("PUT", "hook", { url: `http://127.0.0.1:${server.address().port}${probot.webhookPath}`, secret });

// The calls of the App itself, at the start.
await step("app", async () => {
    const { data } = await (await probot.auth()).rest.apps.getAuthenticated();
    assert.equal(data.id, Number(appId));
});
await step("installations", async () => {
    const github = await probot.auth();
    const all = await github.paginate(github.rest.apps.listInstallations, { per_page: 100 });
    assert.deepEqual(all.map(({ account }) => account.login), [org]);
});

// A new repository.
await change({ till: { branches: { main: {} } } });
const context = await step("repository.created", () => created);
if (context === undefined) process.exit(0);
const { octokit, payload } = context;
const { actions, checks, git, issues, orgs, repos, teams } = octokit.rest;
const at = context.repo();
await step("repository.created.sender", async () => {
    assert.equal(payload.sender.type, "User");
});
await step("settings", async () => {
    const { data } = await repos.getContent({ ...admin, path: ".github/settings.yml" });
    assert.equal(Buffer.from(data.content, "base64").toString(), "repository: {}\n");
});
await step("settings.unchanged", async () => {
    const wanted = { ...admin, path: ".github/settings.yml" };
    const { headers } = await repos.getContent(wanted);
    const again = repos.getContent({ ...wanted, headers: { "if-none-match": headers.etag } });
    assert.equal(await again.then(({ status }) => status, ({ status }) => status), 304);
});
await step("settings.raw", async () => {
    const mediaType = { format: "raw" };
    const { data } = await repos.getContent({ ...admin, path: ".github/settings.yml", mediaType });
    assert.equal(data, "repository: {}\n");
});
await step("overrides", async () => {
    const { data } = await repos.getContent({ ...admin, path: ".github" });
    const { sha: tree_sha } = data.find(({ name }) => name === "repos");
    const { data: found } = await git.getTree({ ...admin, tree_sha, recursive: 0 });
    assert.deepEqual([found.truncated, found.tree.map(({ path }) => path)], [false, ["till.yml"]]);
});

await step("repository", async () => {
    const { data } = await repos.get(at);
    assert.equal(data.default_branch, "main");
    assert.equal(typeof data.permissions.admin, "boolean");
});
await step("repository.update", async () => {
    const { data } = await repos.update({ ...at, description: "changed", has_wiki: false });
    assert.equal(data.description, "changed");
});
await step("topics", async () => {
    const { data } = await repos.replaceAllTopics({ ...at, names: ["kept"] });
    assert.deepEqual(data.names, ["kept"]);
});
await step("alerts", async () => {
    await repos.enableVulnerabilityAlerts(at);
    await repos.enableAutomatedSecurityFixes(at);
});
await step("labels", async () => {
    await issues.createLabel({ ...at, name: "bug", color: "cc0000" });
    const all = await octokit.paginate(issues.listLabelsForRepo, { ...at, per_page: 100 });
    assert.deepEqual(all.map(({ name }) => name), ["bug"]);
});
await step("collaborators", async () => {
    await repos.addCollaborator({ ...at, username: "ann", permission: "push" });
    await octokit.paginate(repos.listInvitations, at);
    const all = await octokit.paginate(repos.listCollaborators, { ...at, affiliation: "direct" });
    assert.deepEqual(all.map(({ login, permissions }) => [login, permissions.push]), [["ann", true]]);
});
await step("teams", async () => {
    const team = { org, team_slug: "platform" };
    assert.equal((await teams.getByName(team)).data.slug, "platform");
    await teams.addOrUpdateRepoPermissionsInOrg({ ...team, ...at, permission: "maintain" });
    const all = await octokit.paginate(repos.listTeams, at);
    assert.deepEqual(all.map(({ slug, permissions }) => [slug, permissions.maintain]), [["platform", true]]);
    const reach = await octokit.paginate(teams.listReposInOrg, team);
    assert.deepEqual(reach.map(({ name }) => name), ["till"]);
});
await step("autolinks", async () => {
    const wanted = { key_prefix: "T-", url_template: "https://tickets.example.com/<num>", is_alphanumeric: true };
    await repos.createAutolink({ ...at, ...wanted });
    assert.equal((await repos.listAutolinks(at)).data.length, 1);
});
await step("rulesets", async () => {
    const refs = { ref_name: { include: ["~DEFAULT_BRANCH"], exclude: [] } };
    const wanted = { name: "kept", target: "branch", enforcement: "active", rules: [{ type: "deletion" }] };
    const { data } = await repos.createRepoRuleset({ ...at, ...wanted, conditions: refs });
    await repos.updateRepoRuleset({ ...at, ruleset_id: data.id, enforcement: "disabled" });
    const all = await octokit.paginate(repos.getRepoRulesets, { ...at, includes_parents: false });
    assert.deepEqual(all.map(({ id }) => id), [data.id]);
});
await step("organisation.rulesets", async () => {
    await octokit.paginate(repos.getOrgRulesets, { org });
});
await step("properties", async () => {
    const properties = [{ property_name: "tier", value: "gold" }];
    await octokit.request("PATCH /repos/{owner}/{repo}/properties/values", { ...at, properties });
    const { data } = await octokit.request("GET /repos/{owner}/{repo}/properties/values", at);
    assert.deepEqual(data, properties);
});
await step("roles", async () => {
    await octokit.request("GET /orgs/{org}/custom-repository-roles", { org });
});

const branch = { ...at, branch: "main" };
await step("branches", async () => {
    const all = await octokit.paginate(repos.listBranches, at);
    assert.deepEqual(all.map(({ name }) => name), ["main"]);
    assert.equal((await repos.getBranch(branch)).data.protected, false);
});
await step("protection", async () => {
    // GitHub also answers 404 here, because the branch has no protection yet.
    const none = await repos.getBranchProtection(branch).catch((error) => error);
    assert.match(none.message, /Branch not protected/);
    await repos.updateBranchProtection({
        ...branch,
        enforce_admins: true,
        required_pull_request_reviews: { required_approving_review_count: 1 },
        required_status_checks: null,
        restrictions: null,
    });
    assert.equal((await repos.getBranchProtection(branch)).data.enforce_admins.enabled, true);
});
await step("branch.rename", async () => {
    const { data } = await repos.renameBranch({ ...branch, new_name: "trunk" });
    assert.deepEqual([data.name, data.protected], ["trunk", true]);
    assert.equal((await repos.get(at)).data.default_branch, "trunk");
});
await step("branch.rename.webhook", async () => {
    const { payload } = await edited;
    assert.equal(payload.changes.default_branch.from, "main");
    // safe-settings recognises its own changes by this value.
    assert.deepEqual([payload.sender.type, payload.sender.login], ["Bot", "beadle-app[bot]"]);
});
await step("check.result", async () => {
    const { data: commits } = await repos.listCommits(admin);
    const { data } = await checks.create({
        ...admin,
        name: "policy",
        head_sha: commits[0].sha,
        status: "completed",
        started_at: new Date().toISOString(),
        completed_at: new Date().toISOString(),
        conclusion: "success",
        output: { title: "policy", summary: "all is well", text: "" },
    });
    assert.deepEqual([data.status, data.conclusion], ["completed", "success"]);
});
await step("environments", async () => {
    await repos.getAllEnvironments(at);
});
await step("variables", async () => {
    await actions.listRepoVariables(at);
});
await step("milestones", async () => {
    await octokit.paginate(issues.listMilestones, { ...at, state: "all" });
});

// A change of the policy.
await change({ admin: { contents: { ".github/repos/till.yml": "repository: { has_wiki: true }\n" } } });
await step("push", async () => {
    const { payload } = await pushed;
    assert.equal(payload.ref, `refs/heads/${payload.repository.default_branch}`);
    assert.deepEqual(payload.commits[0].modified, [".github/repos/till.yml"]);
});
await step("repositories", async () => {
    const all = await octokit.paginate("GET /installation/repositories", { per_page: 2 });
    assert.deepEqual(all.map(({ name }) => name).sort(), ["admin", "shop", "till"]);
});
await step("properties.query", async () => {
    const wanted = { org, repository_query: "props.tier:gold", per_page: 100 };
    const all = await octokit.paginate("GET /orgs/{org}/properties/values", wanted);
    assert.deepEqual(all.map(({ repository_name }) => repository_name), ["till"]);
});
await step("check.update", async () => {
    const { data: head } = await repos.getCommit({ ...admin, ref: "HEAD" });
    const head_sha = head.sha;
    const { data } = await checks.create({ ...admin, name: "validator", head_sha });
    const run = { ...admin, check_run_id: data.id };
    const output = { title: "started", summary: "reading" };
    await checks.update({ ...run, status: "in_progress", started_at: new Date().toISOString(), output });
    const { data: done } = await checks.update({ ...run, status: "completed", conclusion: "failure", output });
    assert.deepEqual([data.status, done.conclusion], ["queued", "failure"]);
    const { data: listed } = await checks.listForRef({ ...admin, ref: head_sha, check_name: "validator" });
    assert.equal(listed.check_runs[0].id, data.id);
});
await step("comment", async () => {
    const { data } = await issues.createComment({ ...admin, issue_number: 1, body: "what will change" });
    assert.equal(data.user.type, "Bot");
});
await step("issue", async () => {
    const { data } = await issues.create({ ...admin, title: "the policy failed", body: "why", labels: ["policy"] });
    const all = await octokit.paginate(issues.listForRepo, admin);
    assert.ok(all.some(({ number }) => number === data.number));
});
await step("compare", async () => {
    const { data } = await repos.compareCommitsWithBasehead({ ...admin, basehead: "main...main" });
    assert.ok(Array.isArray(data.files));
});
await step("organisation", async () => {
    assert.equal((await orgs.get({ org })).data.login, org);
});
process.exit(0);
