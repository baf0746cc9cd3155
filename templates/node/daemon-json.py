#!/usr/bin/env python3
"""The base's daemon.json and bake's become one. Says what of the base it leaves out.

daemon-json.py merge BASE OURS RULES OUT   writes the merged settings to OUT
daemon-json.py trial SETTINGS FOLDER OUT [DATA_ROOT]   writes them for a start beside the node's own Docker, with its data in
                                           FOLDER or where DATA_ROOT says
"""
import codecs
import io
import json
import sys

PLACE = "/etc/docker/daemon.json of the base"


def say(text):
    print("bake: {}: {}".format(PLACE, text))


def fail(text):
    sys.stderr.write("bake: failed {}{}: mend it in the base, or remove it\n".format(PLACE, text))
    sys.exit(1)


def read(path):
    with io.open(path, "rb") as file:
        raw = file.read()
    # As dockerd takes it: a byte order mark counts for its encoding, a file without text for no settings.
    encoding = "utf-8"
    marks = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
    for mark, of_mark in marks:
        if raw.startswith(mark):
            raw, encoding = raw[len(mark) :], of_mark
            break
    text = raw.decode(encoding, "replace")
    if text.strip() == "":
        return {}
    try:
        settings = json.loads(text)
    except ValueError as error:
        where = ""
        if hasattr(error, "lineno"):
            where = ", line {}, column {}".format(error.lineno, error.colno)
        fail("{} is no JSON ({})".format(where, getattr(error, "msg", error)))
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        fail(" is no JSON object")
    return settings


def write(path, settings):
    with io.open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(settings, indent=2) + "\n")


def place(value):
    # Somebody may look for the images; any other value may be a secret.
    return " ({})".format(value) if isinstance(value, str) and value.startswith("/") else ""


def leave_out(base, rule):
    *parents, key = rule["key"]
    holder = base
    for parent in parents:
        holder = holder.get(parent)
        if not isinstance(holder, dict):
            return
    if key not in holder or ("value" in rule and holder[key] != rule["value"]):
        return
    was = place(holder.pop(key))
    say("{}{} is left out: {}".format(".".join(rule["key"]), was, rule["why"]))


def keep_log_options(base, ours, allowed):
    options = base.get("log-opts")
    if options is None or "log-driver" not in ours:
        return
    other = base.get("log-driver", ours["log-driver"]) != ours["log-driver"]
    if other or not isinstance(options, dict):
        gone = ["log-opts"]
        del base["log-opts"]
    else:
        gone = ["log-opts." + name for name in sorted(options) if name not in allowed]
        base["log-opts"] = {name: value for name, value in options.items() if name in allowed}
    for name in gone:
        say("{} is left out: {} takes no such options".format(name, ours["log-driver"]))


def merge(base, ours, path=()):
    for key, value in ours.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merge(base[key], value, path + (key,))
            continue
        if key in base and base[key] != value:
            say("{}{} is overruled: bake's counts".format(".".join(path + (key,)), place(base[key])))
        base[key] = value
    return base


def main(arguments):
    if arguments[:1] == ["merge"]:
        base, ours = read(arguments[1]), read(arguments[2])
        with io.open(arguments[3], encoding="utf-8") as file:
            rules = json.load(file)
        for rule in rules["leftOut"]:
            leave_out(base, rule)
        keep_log_options(base, ours, rules["logOptions"])
        write(arguments[4], merge(base, ours))
    elif arguments[:1] == ["trial"]:
        settings, folder = read(arguments[1]), arguments[2]
        # What belongs to the network of a node.
        for key in ("bridge", "metrics-addr", "swarm-default-advertise-addr"):
            settings.pop(key, None)
        data = arguments[4] if len(arguments) > 4 else folder + "/data"
        settings.update({"data-root": data, "exec-root": folder + "/exec", "pidfile": folder + "/pid"})
        write(arguments[3], settings)
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
