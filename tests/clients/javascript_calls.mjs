// CloudFront's invalidation API of a running edge, as the JavaScript SDK sees it.
//
//   javascript_calls.mjs ADMIN EDGE
//
// ADMIN is the URL of the admin API, EDGE that of the viewers' listener in front of an origin whose
// answers live for an hour and have the tag "practice:42". Fails on the first surprise.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

// The SDK is where it was installed, which is not where this file is.
const { SDK } = process.env;
const {
  CloudFrontClient,
  CreateInvalidationCommand,
  GetInvalidationCommand,
  InvalidArgument,
  ListInvalidationsCommand,
  NoSuchDistribution,
  NoSuchInvalidation,
  paginateListInvalidations,
  waitUntilInvalidationCompleted,
} = createRequire(SDK)("@aws-sdk/client-cloudfront");

const [ADMIN, EDGE] = process.argv.slice(2);
const client = new CloudFrontClient({ endpoint: ADMIN });

let references = 0;
const create = (paths, { reference, distribution = "clinic", by = client } = {}) =>
  by.send(
    new CreateInvalidationCommand({
      DistributionId: distribution,
      InvalidationBatch: {
        Paths: { Quantity: paths.length, Items: paths },
        CallerReference: reference ?? `javascript-${references++}`,
      },
    }),
  );

const xCache = async (path) => {
  const answer = await fetch(EDGE + path);
  await answer.text();
  return answer.headers.get("x-cache").split(" ")[0];
};

const hold = async (...paths) => {
  for (const path of paths) {
    await xCache(path);
    assert.equal(await xCache(path), "Hit", path);
  }
};

const refused = (name, status, promise) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.name, name, error.message);
    assert.equal(error.$metadata.httpStatusCode, status);
    assert.match(error.$metadata.requestId, /^[0-9a-f]{32}$/);
    assert.equal(error.$metadata.attempts, 1);
    return true;
  });

// A path, as fast as it can be waited for.
await hold("/a", "/b");
const made = await create(["/a"], { reference: "deploy <7> & 'more'" });
assert.equal(await xCache("/a"), "Miss");
assert.equal(await xCache("/b"), "Hit");
const { Id, Status, CreateTime, InvalidationBatch } = made.Invalidation;
assert.equal(Status, "Completed");
assert.ok(Math.abs(Date.now() - CreateTime.getTime()) < 60_000);
assert.deepEqual(InvalidationBatch, {
  Paths: { Quantity: 1, Items: ["/a"] },
  CallerReference: "deploy <7> & 'more'",
});
const waited = await waitUntilInvalidationCompleted(
  { client, maxWaitTime: 20, minDelay: 10 },
  { DistributionId: "clinic", Id },
);
assert.equal(waited.state, "SUCCESS");
const got = await client.send(new GetInvalidationCommand({ DistributionId: "clinic", Id }));
assert.deepEqual(got.Invalidation, made.Invalidation);
const again = await create(["/a"], { reference: "deploy <7> & 'more'" });
assert.equal(again.Invalidation.Id, Id);

// What needs escapes, a tag, everything.
await hold("/p?x=1&y=%3C%3E", "/caf%C3%A9");
await create(["/p?x=1&y=%3C%3E", "/caf\u00e9"]);
assert.equal(await xCache("/p?x=1&y=%3C%3E"), "Miss");
assert.equal(await xCache("/caf%C3%A9"), "Miss");
await hold("/a");
await create(["#Practice:42"]);
assert.equal(await xCache("/a"), "Miss");
await hold("/a", "/b");
const last = await create(["/*"]);
assert.equal(await xCache("/a"), "Miss");
assert.equal(await xCache("/b"), "Miss");

// The list in pages.
const ids = [];
const pages = paginateListInvalidations({ client, pageSize: 1 }, { DistributionId: "clinic" });
for await (const { InvalidationList } of pages) {
  ids.push(...(InvalidationList.Items ?? []).map((item) => item.Id));
}
const whole = await client.send(new ListInvalidationsCommand({ DistributionId: "clinic" }));
assert.deepEqual(ids, whole.InvalidationList.Items.map((item) => item.Id));
assert.equal(ids.length, 4);
assert.equal(ids[0], last.Invalidation.Id);
assert.equal(ids[3], Id);
assert.equal(whole.InvalidationList.IsTruncated, false);

// Mistakes.
await refused("NoSuchDistribution", 404, create(["/a"], { distribution: "E 1/2#3~\u00e9" }));
await assert.rejects(create(["/a"], { distribution: "nowhere" }), NoSuchDistribution);
await assert.rejects(
  client.send(new GetInvalidationCommand({ DistributionId: "clinic", Id: "I0" })),
  NoSuchInvalidation,
);
await assert.rejects(create(["no-slash"]), InvalidArgument);
const credentials = { accessKeyId: "AKIAWARMFRONT", secretAccessKey: "wrong" };
const stranger = new CloudFrontClient({ endpoint: ADMIN, credentials });
await refused("SignatureDoesNotMatch", 403, create(["/a"], { by: stranger }));
