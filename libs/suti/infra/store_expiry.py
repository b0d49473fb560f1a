"""What a bucket's server throws away by itself: our rule beside those that others gave the bucket."""

from base64 import b64encode
from hashlib import md5
from xml.etree import ElementTree

from minio import Minio
from minio.error import S3Error

from suti.core import keys

# S3 counts whole days; a request's answer is promised for 24 hours, so the first whole day after that.
REQUESTS_DAYS = 2
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_LONGEST_ID = 255  # S3's limit


def expire_requests(client: Minio, bucket: str, prefix: str) -> None:
    """Answers to requests below `prefix` go after two days; all other rules of the bucket stay as they are.

    Ours is known by its id, which has the prefix in it: releases may share a bucket. Rules are handed on as XML,
    because the client's own classes drop what they do not know (sizes in filters: a rule would then delete more).
    Raises what the client raises.
    """
    folder = f"{prefix}/" if prefix else ""
    ours = _rule(folder)
    whole = ElementTree.Element("LifecycleConfiguration", {"xmlns": _NAMESPACE})
    whole.extend([rule for rule in _rules(client, bucket) if not _replaced(rule, ours)])
    whole.append(ours)
    body = ElementTree.tostring(whole)
    digest = b64encode(md5(body, usedforsecurity=False).digest()).decode()
    client._execute(  # pyright: ignore[reportPrivateUsage] - the public call takes its own classes alone
        "PUT", bucket, body=body, headers={"Content-MD5": digest}, query_params={"lifecycle": ""}
    )


def _rules(client: Minio, bucket: str) -> list[ElementTree.Element]:
    """The bucket's rules, without namespaces and in the form of today (filters)."""
    try:
        answer = client._execute(  # pyright: ignore[reportPrivateUsage] - as above
            "GET", bucket, query_params={"lifecycle": ""}
        )
    except S3Error as error:
        if error.code == "NoSuchLifecycleConfiguration":
            return []
        raise
    root = ElementTree.fromstring(answer.data)  # noqa: S314 - the store's own answer, as the client reads all of them
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    rules = root.findall("Rule")
    for rule in rules:
        _put_prefix_into_a_filter(rule)
    return rules


def _put_prefix_into_a_filter(rule: ElementTree.Element) -> None:
    """The old form, a prefix of the rule itself, means the same; S3 takes no mixture of both."""
    prefix = rule.find("Prefix")
    if prefix is None:
        return
    rule.remove(prefix)
    if rule.find("Filter") is None:
        ElementTree.SubElement(rule, "Filter").append(prefix)


def _rule(folder: str) -> ElementTree.Element:
    rule = ElementTree.Element("Rule")
    name = keys.REQUESTS.strip("/")
    ElementTree.SubElement(rule, "ID").text = f"suti-{folder}{name}"[-_LONGEST_ID:]
    ElementTree.SubElement(rule, "Status").text = "Enabled"
    ElementTree.SubElement(ElementTree.SubElement(rule, "Filter"), "Prefix").text = f"{folder}{keys.REQUESTS}"
    ElementTree.SubElement(ElementTree.SubElement(rule, "Expiration"), "Days").text = str(REQUESTS_DAYS)
    return rule


def _replaced(rule: ElementTree.Element, ours: ElementTree.Element) -> bool:
    """Whether ours stands for it: of the same id, or of the id that had no prefix in it, for the same place."""
    if rule.findtext("ID") == ours.findtext("ID"):
        return True
    same_place = rule.findtext("Filter/Prefix") == ours.findtext("Filter/Prefix")
    return same_place and rule.findtext("ID") == f"suti-{keys.REQUESTS.strip('/')}"
