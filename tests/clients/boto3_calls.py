"""CloudFront's invalidation API of a running edge, as boto3 sees it.

    boto3_calls.py ADMIN EDGE

ADMIN is the URL of the admin API, EDGE that of the viewers' listener in front of an origin whose
answers live for an hour and have the tag "practice:42". Fails on the first surprise.
"""

import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from unittest import mock

import boto3
import botocore.auth
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

ADMIN, EDGE = sys.argv[1:]


def client(**how):
    return boto3.client("cloudfront", endpoint_url=ADMIN, **how)


cloudfront = client()
errors = cloudfront.exceptions
references = iter(range(10_000))


def batch(*paths, reference=None):
    if reference is None:
        reference = f"boto3-{next(references)}"
    return {"Paths": {"Quantity": len(paths), "Items": list(paths)}, "CallerReference": reference}


def create(*paths, reference=None, distribution="clinic", by=cloudfront):
    return by.create_invalidation(
        DistributionId=distribution, InvalidationBatch=batch(*paths, reference=reference)
    )


def x_cache(path):
    with urllib.request.urlopen(EDGE + path) as answer:
        answer.read()
        return answer.headers["X-Cache"].split(" ")[0]


def hold(*paths):
    for path in paths:
        x_cache(path)
        assert x_cache(path) == "Hit", path


def refused(code, status, call, *args, kind=ClientError, **how):
    try:
        call(*args, **how)
    except kind as error:
        said = error.response["Error"]
        assert said["Code"] == code, said
        assert said["Type"] == "Sender", said
        meta = error.response["ResponseMetadata"]
        assert meta["HTTPStatusCode"] == status, meta
        assert meta["RequestId"] == meta["HTTPHeaders"]["x-amzn-requestid"], meta
        assert meta["RetryAttempts"] == 0, meta
        return said["Message"]
    raise AssertionError(f"{code} was not raised")


# An exact path ends that path with that query, and nothing else.
hold("/a", "/a?q=1", "/b")
made = create("/a", reference="deploy-7")
assert x_cache("/a") == "Miss"
assert x_cache("/a?q=1") == "Hit" and x_cache("/b") == "Hit"
assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
invalidation = made["Invalidation"]
assert invalidation["Status"] == "Completed"
assert invalidation["InvalidationBatch"] == batch("/a", reference="deploy-7"), invalidation
assert abs(datetime.now(timezone.utc) - invalidation["CreateTime"]) < timedelta(minutes=1)
url = f"{ADMIN}/2020-05-31/distribution/clinic/invalidation/{invalidation['Id']}"
assert made["Location"] == url, made["Location"]

# It is complete at once, and can be asked for.
cloudfront.get_waiter("invalidation_completed").wait(
    DistributionId="clinic", Id=invalidation["Id"], WaiterConfig={"MaxAttempts": 1}
)
got = cloudfront.get_invalidation(DistributionId="clinic", Id=invalidation["Id"])
assert got["Invalidation"] == invalidation, got

# The same call again is the same invalidation; with other paths it is a mistake.
hold("/a")
again = create("/a", reference="deploy-7")["Invalidation"]
assert again == invalidation, again
assert x_cache("/a") == "Hit"
refused("InvalidationBatchAlreadyExists", 409, create, "/b", reference="deploy-7")

# A star at the end takes queries along; elsewhere it is a letter.
hold("/a", "/a?q=1", "/ab", "/b")
create("/*b")
assert x_cache("/b") == "Hit"
create("/a*")
assert x_cache("/a") == x_cache("/a?q=1") == x_cache("/ab") == "Miss"
assert x_cache("/b") == "Hit"

# What needs escapes in XML, in paths, or in both.
hold("/p?x=1&y=%3C%3E", "/caf%C3%A9", "/~b")
create("/p?x=1&y=%3C%3E", "/caf\u00e9", "/~b")
assert x_cache("/p?x=1&y=%3C%3E") == x_cache("/caf%C3%A9") == x_cache("/~b") == "Miss"

# A tag, in whatever case; its number of items is of both kinds.
hold("/a", "/b")
create("#Practice:43")
assert x_cache("/a") == "Hit"
create("#PRACTICE:42", "/nothing")
assert x_cache("/a") == x_cache("/b") == "Miss"

# Everything.
hold("/a", "/b?q=1")
last = create("/*")["Invalidation"]
assert x_cache("/a") == x_cache("/b?q=1") == "Miss"

# The list, newest first, in pages.
pages = cloudfront.get_paginator("list_invalidations").paginate(
    DistributionId="clinic", PaginationConfig={"PageSize": 2}
)
ids = [item["Id"] for page in pages for item in page["InvalidationList"].get("Items", [])]
whole = cloudfront.list_invalidations(DistributionId="clinic")["InvalidationList"]
assert ids == [item["Id"] for item in whole["Items"]], (ids, whole)
assert ids[0] == last["Id"] and ids[-1] == invalidation["Id"] and len(set(ids)) == len(ids)
assert whole["Quantity"] == len(ids) and not whole["IsTruncated"] and whole["MaxItems"] == 100
assert all(item["Status"] == "Completed" for item in whole["Items"])
page = cloudfront.list_invalidations(DistributionId="clinic", MaxItems="1")["InvalidationList"]
assert page["IsTruncated"] and page["NextMarker"] == ids[0] and page["Quantity"] == 1, page
empty = cloudfront.list_invalidations(DistributionId="other")["InvalidationList"]
assert empty["Quantity"] == 0 and "Items" not in empty, empty

# Mistakes are told as CloudFront tells them; the ones its model names have a type.
gone = errors.NoSuchDistribution
for name in ["nowhere", "E 1/2#3~\u00e9", "a//b"]:
    refused("NoSuchDistribution", 404, create, "/a", distribution=name, kind=gone)
refused("NoSuchDistribution", 404, cloudfront.list_invalidations, DistributionId="x", kind=gone)
refused(
    "NoSuchInvalidation",
    404,
    cloudfront.get_invalidation,
    DistributionId="other",
    Id=invalidation["Id"],
    kind=errors.NoSuchInvalidation,
)
for paths in [["a"], ["/a", ""], ["#"], ["/" + 4_000 * "a"], ["/a\tb"], []]:
    refused("InvalidArgument", 400, create, *paths, kind=errors.InvalidArgument)
refused("InvalidArgument", 400, create, "/a", reference="", kind=errors.InvalidArgument)
for marker in [{"Marker": "I0"}, {"MaxItems": "0"}, {"MaxItems": "many"}]:
    call = cloudfront.list_invalidations
    refused("InvalidArgument", 400, call, DistributionId="clinic", **marker)
lying = batch("/a")
lying["Paths"]["Quantity"] = 2
refused(
    "InconsistentQuantities",
    400,
    cloudfront.create_invalidation,
    DistributionId="clinic",
    InvalidationBatch=lying,
    kind=errors.InconsistentQuantities,
)
refused("BatchTooLarge", 413, create, *["/a"] * 3_001, kind=errors.BatchTooLarge)
refused("InvalidAction", 400, cloudfront.list_distributions)

# As many paths as there may be.
create(*[f"/{number}" for number in range(3_000)])

# Who is not believed.
stranger = client(aws_access_key_id="AKIAWARMFRONT", aws_secret_access_key="x")
message = refused("SignatureDoesNotMatch", 403, create, "/a", by=stranger)
assert message.startswith("The request signature we calculated does not match"), message
unknown = client(aws_access_key_id="AKIA", aws_secret_access_key="x")
refused("InvalidClientTokenId", 403, create, "/a", by=unknown)
unsigned = client(config=Config(signature_version=UNSIGNED))
refused("MissingAuthenticationToken", 403, create, "/a", by=unsigned)
for minutes, message in [(-6, "Signature expired: "), (6, "Signature not yet current: ")]:
    then = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=then):
        said = refused("SignatureDoesNotMatch", 403, create, "/a")
    assert said.startswith(message), said

# A session token that the environment brought along changes nothing; nor does the region.
create("/a", by=client(aws_session_token="from/somewhere=="))
create("/a", by=client(region_name="ap-southeast-7"))
