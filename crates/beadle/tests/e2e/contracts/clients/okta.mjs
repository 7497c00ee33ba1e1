// Runs Okta's SDK against the simulated Okta and prints a line for each step: `ok STEP`, or `missing STEP STATUS MESSAGE`.
// A failed step does not stop the other steps.

import assert from "node:assert/strict";
import okta from "@okta/okta-sdk-nodejs";

const { OKTA_URL: orgUrl, OKTA_TOKEN: token, OKTA_KEY: privateKey } = process.env;

/** Returns a method of the client. The part that contains the method differs between versions. */
function method(client, name) {
    const part = Object.values(client).find((one) => typeof one?.[name] === "function");
    assert.ok(part, `the SDK has no ${name}`);
    return part[name].bind(part);
}

/** Returns the first 1,000 rows of a list, page by page. A list might have no end. */
async function every(list) {
    const rows = [];
    await (await list).each((row) => {
        rows.push(row);
        return rows.length < 1000;
    });
    return rows;
}

// The client caches no answer, so the simulator answers each step.
const usual = { orgUrl, cacheMiddleware: null };
const client = new okta.Client({ ...usual, token });
const call = (name, ...given) => method(client, name)(...given);
const names = (groups) => groups.map(({ profile }) => profile.name).sort();

await step("groups.pages", async () => {
    const all = await every(call("listGroups", { limit: 2 }));
    assert.deepEqual(names(all), ["AWS_A", "AWS_B", "AWS_C", "Other", "Others"]);
});
await step("groups.filter", async () => {
    const all = await every(call("listGroups", { filter: 'id eq "00g1"' }));
    assert.deepEqual(names(all), ["AWS_A"]);
});
await step("groups.search", async () => {
    const all = await every(call("listGroups", { search: 'profile.name sw "AWS_"', limit: 2 }));
    assert.deepEqual(names(all), ["AWS_A", "AWS_B", "AWS_C"]);
});
await step("groups.q", async () => {
    const all = await every(call("listGroups", { q: "Other" }));
    assert.deepEqual(names(all), ["Other", "Others"]);
});
await step("groups.stats", async () => {
    const all = await every(call("listGroups", { filter: 'id eq "00g1"', expand: "stats" }));
    assert.equal(all.length, 1);
});
await step("group", async () => {
    const group = await call("getGroup", { groupId: "00g1" });
    assert.equal(group.profile.name, "AWS_A");
});
await step("group.unknown", async () => {
    const status = await call("getGroup", { groupId: "00gX" }).then(() => 200, (error) => error.status ?? error.code);
    assert.equal(status, 404);
});
await step("group.users", async () => {
    const all = await every(call("listGroupUsers", { groupId: "00g1", limit: 2 }));
    assert.equal(all.length, 6);
});
await step("users.pages", async () => {
    const all = await every(call("listUsers", { limit: 3 }));
    assert.equal(all.length, 10);
});
await step("users.filter", async () => {
    const all = await every(call("listUsers", { filter: 'profile.login eq "p3@acme.example"' }));
    assert.deepEqual(all.map(({ id }) => id), ["00u00003"]);
});
await step("user", async () => {
    const user = await call("getUser", { userId: "00u00001" });
    assert.deepEqual([user.status, user.profile.login], ["ACTIVE", "p1@acme.example"]);
});
await step("user.login", async () => {
    const user = await call("getUser", { userId: "p1@acme.example" });
    assert.equal(user.id, "00u00001");
});
await step("user.groups", async () => {
    const all = await every(call("listUserGroups", { userId: "00u00001" }));
    assert.deepEqual(names(all), ["AWS_A"]);
});
await step("logs.newest", async () => {
    const all = await every(call("listLogEvents", { sortOrder: "DESCENDING", limit: 2 }));
    assert.equal(all.length, 3);
    assert.equal(all[0].eventType, "user.lifecycle.suspend");
});
await step("logs.filter", async () => {
    const filter = 'eventType eq "group.user_membership.add"';
    const all = await every(call("listLogEvents", { filter, sortOrder: "DESCENDING" }));
    assert.equal(all.length, 2);
});
await step("pushes", async () => {
    const all = await every(call("listGroupPushMappings", { appId: "0oa1" }));
    assert.equal(all.length, 1);
});
await step("oauth", async () => {
    const scopes = ["okta.groups.read"];
    const app = new okta.Client({ ...usual, authorizationMode: "PrivateKey", clientId: "beadle", scopes, privateKey });
    const group = await method(app, "getGroup")({ groupId: "00g1" });
    assert.equal(group.profile.name, "AWS_A");
});

// Calls that Beadle never makes.
await step("group.join", async () => {
    await call("assignUserToGroup", { groupId: "00g1", userId: "00u00009" });
});
await step("rules", async () => {
    await every(call("listGroupRules", { limit: 2 }));
});
await step("applications", async () => {
    await every(call("listApplications", { limit: 2 }));
});
await step("eventhooks", async () => {
    await every(call("listEventHooks"));
});
await step("user.suspend", async () => {
    await call("suspendUser", { userId: "00u00009" });
});
