"""Operators: they invalidate, by both APIs, and reload, in both ways."""

import asyncio
import datetime
import hashlib
import hmac
import json
import os
import random
import signal

import exchanges
import viewers

TOKEN = "soak-0123456789abcdef0123456789abcdef"
AWS_ID, AWS_SECRET = "AKIASOAK", "soak-secret-0123456789abcdef0123456789"


async def call(port, method, target, fields, body=b""):
    """A call of the admin API on a connection of its own."""
    connection = await exchanges.Http1.open(port)
    try:
        return await connection.ask(method, target, fields, body)
    finally:
        connection.close()


def batch():
    """Something to invalidate: a page, a prefix, a tag, seldom everything."""
    path, asked = viewers.target()
    what = random.choices(["page", "prefix", "tag", "soft", "everything"], [50, 10, 10, 20, 1])[0]
    return {
        "page": {"paths": [asked]},
        "prefix": {"paths": [path[:-1] + "*"]},
        "tag": {"tags": [f"t{random.choice((120, 1_000, 250_000))}"]},
        "soft": {"paths": [asked], "mode": "soft"},
        "everything": {"everything": True},
    }[what]


async def invalidating(port):
    """Invalidates by the JSON API, about once a second."""
    fields = [f"Authorization: Bearer {TOKEN}", "Content-Type: application/json"]
    while True:
        await asyncio.sleep(random.expovariate(1))
        reply = await call(port, "POST", "/v1/invalidations", fields, json.dumps(batch()).encode())
        counted("invalidation", reply, 201)


async def invalidating_as_aws(port):
    """Invalidates by CloudFront's API, every few seconds."""
    number = 0
    while True:
        await asyncio.sleep(random.expovariate(1 / 4))
        number += 1
        path = viewers.target()[0]
        body = (
            '<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Paths>'
            f"<Quantity>1</Quantity><Items><Path>{path}*</Path></Items></Paths>"
            f"<CallerReference>soak-{number}</CallerReference></InvalidationBatch>"
        ).encode()
        target = "/2020-05-31/distribution/soak/invalidation"
        reply = await call(port, "POST", target, signed("POST", target, body), body)
        counted("invalidation by aws", reply, 201)


def signed(method, target, body):
    """The fields of AWS's signature, version 4."""
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/us-east-1/cloudfront/aws4_request"
    hashed = hashlib.sha256(body).hexdigest()
    names = "host;x-amz-content-sha256;x-amz-date"
    heads = f"host:localhost\nx-amz-content-sha256:{hashed}\nx-amz-date:{moment}\n"
    request = "\n".join([method, target, "", heads, names, hashed])
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + AWS_SECRET.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return [
        f"X-Amz-Date: {moment}",
        f"X-Amz-Content-Sha256: {hashed}",
        "Content-Type: application/xml",
        f"Authorization: AWS4-HMAC-SHA256 Credential={AWS_ID}/{scope}, SignedHeaders={names}, Signature={signature}",
    ]


async def reloading(pid, file, config):
    """Changes the configuration every 10 seconds: its file, or its file and a signal after."""
    for number in range(10**9):
        await asyncio.sleep(10)
        beside = file + ".new"
        with open(beside, "w", encoding="utf-8") as out:
            out.write(config(number))
        os.replace(beside, file)
        if number % 2:
            os.kill(pid, signal.SIGHUP)
        viewers.counts["reload"] += 1


def counted(what, reply, expected):
    """Counts a call, or its failure."""
    viewers.counts[what] += 1
    if reply.status != expected:
        viewers.failures[f"{what}: {reply.status} {reply.body[:200]}"] += 1
