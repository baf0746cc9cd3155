/**
 * What each code means. A code never changes its meaning; docs/errors.md is made from this table and from the examples of
 * the tests. Long because it is one table of one thing.
 */

interface Meaning {
  readonly title: string;
  /** Why it is an error, and what is behind it: one paragraph. */
  readonly text: string;
}

export const errorCodes = {
  BK100: {
    title: "no such profile",
    text: "A name is looked for as `<name>.yaml` or `.yml` in `profiles/` of the current folder, in the current folder itself, in `profiles/` of the folders above up to the repository's root, then among bake's own; anything with a `/` or an ending is a path. `bake ls` lists them.",
  },
  BK101: {
    title: "not valid YAML",
    text: "Profiles are YAML 1.2. Two keys of the same name in one map are an error too.",
  },
  BK102: { title: "a value of the wrong type or form", text: "What is expected stands beside the value." },
  BK103: {
    title: "unknown key",
    text: "A misspelt key would be a setting that silently does nothing. The keys that can stand there are listed.",
  },
  BK104: { title: "a value is missing", text: "Everything that has one right answer has a default; this has none." },
  BK105: { title: "a profile cannot be read", text: "The file is there, and the system refuses to read it." },
  BK106: {
    title: "an extended profile is not there",
    text: "The path of `extends` is looked for relative to the profile that names it.",
  },
  BK107: {
    title: "extends runs in a circle",
    text: "A profile cannot extend itself, by no detour. The help shows the chain.",
  },
  BK108: {
    title: "append or remove without effect",
    text: "`{ append: […], remove: […] }` changes a list of the extended profile. Without such a list, or without the item, it would do nothing.",
  },
  BK109: {
    title: "a name that bake uses itself",
    text: "Results of `x` go to `out/x`, of its trial to `out/x-trial`, of its other target to `out/x-huaweicloud`: a profile of such a name would write over them.",
  },
  BK110: {
    title: "no such setting",
    text: "`--explain` takes a setting of the profile, such as `agents.spawn` or `storage`.",
  },
  BK111: {
    title: "Docker's data-root is not on the data disk",
    text: "Elsewhere it would fill the system disk (guide row G21).",
  },
  BK112: {
    title: "a Docker version that is not supported, or not verified",
    text: "Docker 25 is excluded by the team; from 29 a fresh data-root keeps images in containerd's store, outside data-root (guide row G15, S21). Versions in between that were not tried give a warning.",
  },
  BK113: {
    title: "an image, a model or a build cache is listed twice",
    text: "Once is enough; `builders.image` comes by itself. Of a model there is one hub and one revision, of build caches each has a name of its own.",
  },
  BK114: {
    title: "an agent setting that is unknown, or bake's own",
    text: "The agent ignores keys that it does not know (guide row G4, S27). Some keys are bake's to write, because CI relies on their values.",
  },
  BK115: {
    title: "Docker's address pools",
    text: "A Docker network that covers the PyPI cache or the VPC hides it from the node (guide row G12, S19). Pools must be networks, and hold a few of them.",
  },
  BK116: { title: "proxy credentials without a proxy", text: "Credentials without `network.httpProxy` reach nothing." },
  BK117: {
    title: "an exception for root from the closed metadata service",
    text: "Jobs run as root, and packets of containers count as root's.",
  },
  BK118: {
    title: "a secret in plain text",
    text: "A profile lies in a repository, and what is rendered from it in `out/` and in images. bake shows such a value nowhere. Consider it known: make a new one.",
  },
  BK119: {
    title: "more NPUs than the host has",
    text: "Agent i owns the NPUs (i-1)×cards to i×cards-1 (guide row G5). `agents.npus` says how many there are.",
  },
  BK120: {
    title: "buildx is not the pair of Docker",
    text: "Each Docker release is tested with one buildx release (guide row G22); another patch release of it will do.",
  },
  BK121: {
    title: "BuildKit: a tag that moves, or a release that breaks on older kernels",
    text: "The default tag of buildx has broken hosts overnight (guide row G24, S6): a release has to be named.",
  },
  BK122: {
    title: "a data disk over a folder of the system, or away from CI's caches",
    text: "A mount over a folder of the system would hide what the node needs. CI keeps its caches below /mnt, whatever the profile says (guide rows G27, G28): elsewhere is a warning.",
  },
  BK123: {
    title: "a placeholder, or an empty variable",
    text: "What a copied example leaves to be filled in (S11) would reach the node as it is.",
  },
  BK124: {
    title: "an agent that is not version 3",
    text: "Version 4 has other settings and defaults (guide row G2, S7).",
  },
  BK125: {
    title: "an agent tag that is bake's own",
    text: "A queue given twice ends the agent at its start (guide row G4, S27); `bake-id` says which image an agent runs from.",
  },
  BK126: {
    title: "two answers to where the node's key comes from",
    text: "A key that is delivered is neither made by the node nor left out.",
  },
  BK127: {
    title: "free space that the smallest disk never has",
    text: "With less than `storage.minFree` a node takes no jobs. The caches of the builders may not fill the smallest disk either.",
  },
  BK146: {
    title: "garbage collection that would never stop, or never begin",
    text: "It begins at `storage.garbageCollection.highThresholdPercent` and ends below `lowThresholdPercent`, which has to be the smaller one.",
  },
  BK128: {
    title: "a git proxy that makes wrong URLs",
    text: "git puts `via` in the place of `for` and keeps the rest: the two must end alike (guide row G13).",
  },
  BK129: {
    title: "targets: none, or one that Huawei Cloud would refuse",
    text: "Limits of the cloud that it only says late: tags of images, systems whose cloud-init does not find it.",
  },
  BK132: {
    title: "a variable that overrides a setting",
    text: "A variable of the agents beats `buildkite-agent.cfg` (guide row G4, S27), so what the profile says elsewhere would not count.",
  },
  BK133: {
    title: "user-data would be too large",
    text: "Huawei Cloud takes 32 KB of it, and says so only when a server is made. Keys of operators are most of it. `bake user-data` counts exactly (BK602).",
  },
  BK135: {
    title: "rendered user-data is not what cloud-init takes",
    text: "Everything is written so that cloud-init reads what was meant; this is the last look at it, as cloud-init will read it. What it finds is a fault of bake, told at the line that the value came from.",
  },
  BK138: {
    title: "jobs may use the agency",
    text: "`secrets.agentToken: { csms: … }` needs a server with an agency. Its credentials are handed out by the metadata service, which is closed to jobs unless `network.metadata.closed` says otherwise.",
  },
  BK136: {
    title: "a file where it would do harm",
    text: "Files of a site have places of their own: not those of bake or of the system, not below the mount of the data disk, and no two of them the same.",
  },
  BK150: {
    title: "a base that bake does not know",
    text: "A base is one of openEuler's images by its name, or a qcow2 file of the machine that bakes. Any other name would fail when the lock is made.",
  },
  BK151: {
    title: "a setting without effect",
    text: "Another setting makes it void. Whoever wrote it believes in something that does not happen.",
  },
  BK152: {
    title: "an image, a model or a build cache without a mirror",
    text: "`from: mirror` says that no golden image carries it. A node asks no hub: it fetches by digest from a mirror that `bake fetch --to` has filled. An adopted disk and one with XFS get no seed: models and build caches come from the mirror there, whatever `from` says, and without one that is a warning.",
  },
  BK153: {
    title: "a file of this machine that cannot be taken",
    text: "`from` names a file of the machine that bakes, relative to the profile that says so. It is read with the profile, is a part of what is rendered and of the bake id, and has 1 MiB at most: what is larger is served and named by `url`, so that the lock pins its digest. For `network.caCertificates` it holds certificates of authorities in PEM form, and nothing secret.",
  },
  BK134: {
    title: "a pin for nothing",
    text: "A pin says why a version stays. It is named as the artifact it is for; an image may stand without its tag.",
  },
  BK145: {
    title: "something for another architecture",
    text: "By its name a base, an image or a file is for other processors than the profile bakes for. A base of the wrong kind would only show after minutes, as a VM that never answers.",
  },
  BK147: {
    title: "a network in NO_PROXY",
    text: "`10.0.0.0/8` is understood by Go (Docker, BuildKit) and by curl from 7.86 on. git goes by the curl that it was built with, Python's urllib never knows one. Hosts that the profile names and that lie in the network stand in NO_PROXY by themselves, so that all go the same way there; what jobs ask besides them has to be listed.",
  },
  BK130: { title: "the profile is there already", text: "`bake init` writes new profiles and changes none." },
  BK131: { title: "an answer that cannot be", text: "An option or an answer of `bake init` is not of its form." },
  BK201: {
    title: "an artifact is not in the store",
    text: "The lock names bytes that were not fetched or made yet. `bake image --trial` makes its own again.",
  },
  BK202: {
    title: "an artifact does not match its digest",
    text: "The file in the store changed after it was stored. Nothing is baked from it: delete it, and the next run gets it again.",
  },
  BK203: {
    title: "a lock cannot be read",
    text: "`profiles/<name>.lock.json` is no JSON, or not the shape of a lock, or names an artifact twice. The message says where.",
  },
  BK204: { title: "a profile has no lock", text: "A bake takes only bytes that a lock names." },
  BK205: {
    title: "a lock that does not go with its profile",
    text: "The profile asks for something that the lock does not hold, or no longer for something that it holds: it was changed after the lock was made. Nothing is rendered or baked with such a lock.",
  },
  BK206: { title: "a lock of a newer bake", text: "An older bake would misread it." },
  BK207: {
    title: "a lock with marks of a merge conflict",
    text: "Two branches changed the lock. It is made from the profile: take one side whole, and bring it up to date.",
  },
  BK209: {
    title: "what CI uses cannot be found out",
    text: "`pins.*.follows` names a repository, a branch, a file and a variable; one of them is not there.",
  },
  BK210: {
    title: "a download is not what the lock names",
    text: "The bytes were kept aside for a look, and nothing uses them. Either something between changes what it passes on, or the makers replaced a file under the same name.",
  },
  BK211: {
    title: "something is missing, and no network may be touched",
    text: "`--offline` takes everything from the store and from this host; the files, packages and tools that are missing are listed.",
  },
  BK212: {
    title: "the disk is full, or would be",
    text: "Looked at before anything is fetched, and noticed while it is. What was fetched so far is kept, and gone on with later.",
  },
  BK213: { title: "the store cannot be written", text: "It is read-only, or belongs to somebody else." },
  BK214: {
    title: "a file cannot be fetched",
    text: "Every place that has it was asked, and asked again where that could help. What each one said is listed, without queries and passwords.",
  },
  BK215: { title: "several downloads failed", text: "Each with its own code; what arrived is kept." },
  BK216: {
    title: "a mirror that is none",
    text: "`--mirror` takes a folder or a URL with files by digest, and is then the only place that is asked.",
  },
  BK217: {
    title: "an archive that no release is",
    text: "Archives are unpacked on the node as root. One with links, devices, setuid files or paths that lead out of it is refused before anything is built, whatever its digest.",
  },
  BK219: {
    title: "a proxy or certificate setting that cannot be used",
    text: "`HTTP_PROXY` and `HTTPS_PROXY` name a proxy as `http://host:port`, `SSL_CERT_FILE` a file of certificates in PEM form.",
  },
  BK230: {
    title: "a source does not give what it is asked for",
    text: "A release host, a registry of models or a mirror does not answer, refuses, or sends more than such a file can be. Busy servers are asked several times. `sources` of the profile names mirrors.",
  },
  BK231: {
    title: "a redirect that is not followed",
    text: "From https to plain http anybody on the way could change the bytes, and the checksums with them. A server that redirects in a circle is left too.",
  },
  BK232: {
    title: "no checksum file",
    text: "What came in its place is empty, a web page (a login or an error page, often of a proxy), or holds no sha256.",
  },
  BK233: {
    title: "a checksum file does not name the file",
    text: "Without a digest from whoever published the file nothing says which bytes are the right ones.",
  },
  BK234: {
    title: "a checksum file names a file twice",
    text: "Two digests for one name: nothing says which one is right.",
  },
  BK235: {
    title: "an answer that bake does not understand",
    text: "An API or an index answered with something else than what it is known to answer, often the page of a proxy or of a mirror that lacks this API.",
  },
  BK236: {
    title: "no release goes with a version",
    text: "`26.1.x` means the newest stable release of that line, and there is none. Releases for testing never count.",
  },
  BK237: {
    title: "a list of files is not whole",
    text: "The hub cut the list, as it does with very many files. A model with files missing would only fail on a node.",
  },
  BK238: {
    title: "a path that no file may have",
    text: "A model's file with an absolute path, `..`, a backslash, or a name that another file has too would be written elsewhere, or over that one.",
  },
  BK239: {
    title: "a model that may not be read",
    text: "It is private, its licence has to be accepted first, or there is no such model: hubs give one answer to all three.",
  },
  BK240: {
    title: "bytes are not what the hub says",
    text: "The size or the digest of a file differs from what the hub's own list says of it. It is not locked.",
  },
  BK242: { title: "no such base", text: "A base is one of the names in the help, or a qcow2 file." },
  BK243: {
    title: "a hub has no such model or revision",
    text: "Models are named `owner/name` as in the hub's own URL, revisions by branch, tag or commit.",
  },
  BK244: {
    title: "not a version",
    text: "A release is named by all of its version (`26.1.3`), or by its line (`26.1.x`) for the newest of that. Names that move, such as `latest`, say nothing about what is wanted.",
  },
  BK245: { title: "a base file cannot be read", text: "The profile names a file of this machine." },
  BK246: {
    title: "what was a file of this machine is gone from the store",
    text: "A base, or a build cache. The lock names its digest, and nobody has it to download.",
  },
  BK247: {
    title: "a folder that is no build cache",
    text: "It is what `docker buildx build --cache-to type=local,dest=FOLDER,mode=max` writes: `index.json`, `oci-layout` and `blobs/`, with a cache under the tag `latest`.",
  },
  BK248: {
    title: "a build cache that is not whole",
    text: "A blob is missing, or its bytes are not those of its name: an export was cut off, or a copy was made while one ran. Builds would fail for it.",
  },
  BK249: {
    title: "not a folder for a build cache",
    text: "What `bake cache` copies goes into a folder that is empty, or that has a build cache already: nothing else is ever touched.",
  },
  BK250: {
    title: "not the name of an image",
    text: "An image is named as `docker pull` takes it, always with a tag: images without one are deleted by the first `docker system prune -f`.",
  },
  BK251: {
    title: "no such image or tag",
    text: "The registry was reached, and does not have it. Some registries say the same of images that need a login.",
  },
  BK252: {
    title: "a registry refuses",
    text: "It wants a login, or this login may not see the image. Logins are Docker's: `~/.docker/config.json` and its credential helpers.",
  },
  BK253: {
    title: "a registry does not answer",
    text: "Its name, the network, a proxy, its certificate, or its own trouble. What was said about it follows.",
  },
  BK254: {
    title: "an image that is not made for this architecture",
    text: "The platforms that its index lists are shown, or the one that the image is made for.",
  },
  BK255: {
    title: "an image in a form that cannot be used",
    text: "Schema 1 names no image ID; layers outside the registry cannot be fetched from it; what is no image at all, such as a chart, cannot be loaded into Docker.",
  },
  BK256: {
    title: "a registry's answer is not what its digest says",
    text: "Every manifest and configuration is hashed by bake itself. Nothing of it was used.",
  },
  BK258: {
    title: "no build cache was exported",
    text: "The build, or the command that builds, ended without writing a cache to the folder that was named. What it said last follows. A command that fails after its export is no error: its cache is whole.",
  },
  BK259: {
    title: "a build cache changes while it is copied",
    text: "Builds write to it. What was copied is kept, and the next run goes on from there.",
  },
  BK301: {
    title: "a command or a file of the host is missing",
    text: "What bake runs is not there. The message names it.",
  },
  BK302: {
    title: "a command failed",
    text: "The command, how it ended, and the last lines of what it said. Where it said more, `log:` names the file with all of it, in the cache's folder `log`.",
  },
  BK303: {
    title: "Go is missing or too old",
    text: "Tools without a reachable release are built from their pinned Go modules.",
  },
  BK304: {
    title: "packages are missing, and bake may not install them",
    text: "The help has the one line to run by hand.",
  },
  BK305: {
    title: "no keyring of the distribution",
    text: "Packages of the stand-in base are only taken when their signatures can be checked.",
  },
  BK306: {
    title: "the stand-in base could not be made",
    text: "Its last lines say why: a mirror that does not answer, no right to make file systems, no room for the boot loader. Nothing is kept.",
  },
  BK307: { title: "no room in the cache folder", text: "`XDG_CACHE_HOME` moves it elsewhere." },
  BK308: { title: "a download is not what its checksums say", text: "It is not used." },
  BK309: {
    title: "the distribution has moved on",
    text: "The trial is made for certain versions of packages, and the mirror has others.",
  },
  BK401: {
    title: "a build failed in the VM, or on the server",
    text: "The step that failed, and its last lines. The whole log lies in `out/<profile>/log/`. In the cloud also its own reason, and what is left there.",
  },
  BK402: { title: "no room for the bake", text: "Nothing was started." },
  BK403: { title: "the image holds secrets", text: "Where they are and of what kind they are. The image was deleted." },
  BK404: { title: "an image cannot be searched for secrets", text: "An image that was not searched is not kept." },
  BK405: {
    title: "another bake writes the same folder",
    text: "`out/<profile>/` has one writer at a time: an image in it is never lost to a second one.",
  },
  BK406: {
    title: "something is mounted in a work folder",
    text: "A folder is not removed through a mount: what lies there is not bake's.",
  },
  BK410: {
    title: "credentials of the cloud are missing",
    text: "They come from the environment, and nothing was started without them.",
  },
  BK411: {
    title: "Packer's plugin for the cloud cannot be installed",
    text: "Packer fetches it from its releases; where these are out of reach it is installed by hand, once.",
  },
  BK412: {
    title: "a build in the cloud named no image",
    text: "Packer said that all went well. What it made has to be looked for in the cloud.",
  },
  BK413: {
    title: "a target that cannot be",
    text: "The profile does not have it, or a trial or `--offline` was asked for: trials bake in a local VM alone, and the cloud needs the network.",
  },
  BK414: {
    title: "a base that cannot be entered",
    text: "`secrets.basePassword` names the password of root on a base without cloud-init, and it is not on this machine. docs/bases.md says how bake gets into a base. Everything but `bake image` takes such a profile as it is.",
  },
  BK420: {
    title: "the cloud refuses the credentials",
    text: "Or this machine's clock is more than 15 minutes off. Nothing is sent again with them: repeated refusals lock the key.",
  },
  BK421: {
    title: "a right is missing in the cloud",
    text: "Which one, for which call. [The policy](huaweicloud-policy.md) has all that a bake needs.",
  },
  BK422: {
    title: "the cloud refuses a call",
    text: "With the cloud's own code and reason, and the number of the request, which its support asks for.",
  },
  BK423: {
    title: "the cloud does not answer, or is busy",
    text: "A call that only looks was tried again a few times, with pauses. One that makes something was not.",
  },
  BK424: {
    title: "the cloud answers what bake does not understand",
    text: "Something in between may have answered, or the cloud has changed.",
  },
  BK425: {
    title: "an endpoint that cannot be used",
    text: "`HW_AUTH_URL`, or `HW_ENDPOINT_ECS` and its like, name where a service answers: by https, and by nothing but a host.",
  },
  BK426: {
    title: "the preflight finds something that is not right",
    text: "Each with what to do. Nothing was made in the cloud; `preflight.json` beside `image.json` has every line.",
  },
  BK427: {
    title: "an image of these inputs is being made",
    text: "Its ID is told. A second one would be the same, so nothing was begun.",
  },
  BK430: {
    title: "the catalogue has no such image",
    text: "It knows images that carry bake's tags for this profile, in this region. No other is ever touched.",
  },
  BK431: {
    title: "an image of the cloud is in the wrong state",
    text: "Only an active one can be promoted, shared or copied.",
  },
  BK432: {
    title: "a limit of the cloud's images",
    text: "Ten tags an image, 256 projects that it is shared with, 128 GB and five at a time for copies to another region. Nothing was changed.",
  },
  BK433: {
    title: "a job of the cloud failed, or does not end",
    text: "With the cloud's own code and reason. One that only takes long goes on in the cloud.",
  },
  BK434: {
    title: "two changed one thing in the cloud at a time",
    text: "Two promotions, or a share that somebody else took back. What is said to be there now is there.",
  },
  BK435: {
    title: "nobody knows what may be removed",
    text: "Who uses an image could not be asked, or a rollout's journal could not be read. Nothing was removed.",
  },
  BK436: {
    title: "there is no such project in the cloud",
    text: "Each region has a project of its own name; others are named by `HW_PROJECT_NAME` or `HW_PROJECT_ID`.",
  },
  BK437: {
    title: "there is no such bucket",
    text: "An import of an image needs a bucket of the object storage in the image's region: `targets.huaweicloud.bucket`, or `--bucket`.",
  },
  BK438: {
    title: "an image's file cannot be brought into the cloud",
    text: "What it is, its size, its format and its system are compared with the service's limits before anything is uploaded; each part that is uploaded with its digest. The same command goes on where it was cut off.",
  },
  BK440: {
    title: "nobody said how to ask Buildkite",
    text: "An API access token and the organisation's slug, by the variables of Buildkite's own command line. Nothing was asked or changed.",
  },
  BK441: {
    title: "Buildkite refuses the token",
    text: "It is asked once and never again. The token may be revoked, expired, or for another organisation.",
  },
  BK442: {
    title: "Buildkite does not allow it",
    text: "The message names the scope that the API access token lacks: `read_agents`, `write_agents`, `read_clusters`, GraphQL access; or the permission of its user to stop agents.",
  },
  BK443: {
    title: "Buildkite is busy, broken, or out of reach",
    text: "What is safe to repeat was repeated, with pauses as Buildkite asks for them. A rollout changes nothing while nobody knows what agents do.",
  },
  BK444: {
    title: "Buildkite answers something unexpected",
    text: "A refusal that bake does not know, or an answer of another shape: a proxy in between may have answered.",
  },
  BK445: {
    title: "there is no such organisation at Buildkite",
    text: "Its slug is the first part of a pipeline's address; a token is for the organisations that were chosen when it was made.",
  },
  BK450: {
    title: "there is no such server in the cloud",
    text: "Somebody removed it, or it is in another region or project. Nothing was changed.",
  },
  BK451: {
    title: "a member of an AS group is never given another system",
    text: "AS takes a member that is stopped for broken and deletes it. Groups are rolled out by new members.",
  },
  BK452: {
    title: "the cloud does not change the system of such a server",
    text: "Spot servers, and servers without user-data when none is given. Nothing was sent.",
  },
  BK453: {
    title: "user-data that the cloud does not take",
    text: "It takes 32 KB before base64, compressed or not. Nothing was sent.",
  },
  BK454: {
    title: "the name of a server is taken",
    text: "By a server made from another image, or by one that is not of this profile. `bake ecs create` changes no server that is there.",
  },
  BK455: {
    title: "a server that would be no node",
    text: "Its system disk is smaller than its image, or it could not fetch its token. Nothing was made.",
  },
  BK456: {
    title: "a server did not come, or does not start",
    text: "The cloud ended its job, and the server is not there. The same command again makes no second one while the first is there.",
  },
  BK457: {
    title: "an AS group stays busy",
    text: "It takes no change while it adds or removes members. Its scaling actions in the console say what it does.",
  },
  BK460: {
    title: "a pipeline beyond Buildkite's limits",
    text: "A matrix has 50 jobs at most, an upload 500, the key of a concurrency group 200 characters. Nothing was printed.",
  },
  BK461: {
    title: "nobody understands what is rolled out",
    text: "`--to` takes a tag with its value, or names of nodes with commas between them. No node gets the images of two profiles.",
  },
  BK462: {
    title: "a name that a pipeline cannot hold",
    text: "Names become keys of steps and names of servers; Buildkite replaces variables in all of a pipeline before it is read.",
  },
  BK463: {
    title: "a pipeline needs the lock",
    text: "What is baked, verified and rolled out is known by its bake id, which comes from the profile and its lock.",
  },
  BK464: {
    title: "a rollout would run on agents that it replaces",
    text: "The steps of a pipeline run on a queue of their own, whose agents are on none of the nodes.",
  },
  BK501: {
    title: "a CI job ended badly",
    text: "The job on the checked node did not run, failed, or did not end in time. Its last lines follow, and the folder with the logs of all jobs.",
  },
  BK502: {
    title: "agents did not register as expected",
    text: "Their names or their number are not what the plan says, or they did not come in time.",
  },
  BK503: { title: "the loopback agent API cannot listen", text: "Its port is taken." },
  BK505: {
    title: "QEMU did not start, or ended",
    text: "The last lines of its own words and of the console follow, and the files with all of them.",
  },
  BK506: {
    title: "the VM did not answer by ssh",
    text: "The last lines of its console follow, and the file with all of it.",
  },
  BK507: { title: "no free port for ssh to the VM", text: "Something takes every port; try again." },
  BK508: {
    title: "the VM could not be brought to a state",
    text: "What was waited for, and what the node said about itself.",
  },
  BK510: { title: "goss gave no report", text: "Without a report nothing was checked." },
  BK511: { title: "a host cannot be reached by ssh", text: "The help has the line that has to work by itself." },
  BK512: {
    title: "a host's key is unknown, or has changed",
    text: "bake never accepts a host key: compare it by hand, once.",
  },
  BK513: { title: "a host refused every key", text: "bake asks for no passwords." },
  BK514: { title: "not root, and no sudo without a password", text: "The checks read what only root may read." },
  BK515: {
    title: "a host or an image of another architecture",
    text: "The profile and its lock are for another one, or bake knows none such.",
  },
  BK516: { title: "a host runs no commands, or hangs", text: "What it said follows." },
  BK518: { title: "a file cannot be written", text: "A bundle or a report could not be put where it was asked for." },
  BK519: { title: "there is no image", text: "Bake it first, or name one that lies beside its `image.json`." },
  BK520: {
    title: "nothing to compare",
    text: "`bake diff` takes locks, profiles and images (their folder, or their `image.json`).",
  },
  BK601: {
    title: "a secret cannot be had",
    text: "A file or variable that `secrets` names is not there, is empty, or does not look like what it should be. Its value is never shown.",
  },
  BK602: { title: "user-data is too large", text: "Huawei Cloud takes 32 KB before base64; gzip counts as it is." },
  BK603: {
    title: "user-data cannot be written there",
    text: "It holds secrets: it does not go to `out/`, and it replaces nothing but user-data that bake made.",
  },
  BK605: {
    title: "stock user-data without a mirror",
    text: "A stock image holds nothing of the node: it fetches everything by digest from a mirror: a folder that `bake fetch --to` has made, behind a web server that the host reaches ([stock images](user-data.md#stock-images)). User-data without `--stock` is for a golden image and needs none.",
  },
  BK604: { title: "a wrong option of user-data", text: "A host name or a file of public keys that cannot be one." },
  BK701: {
    title: "no node to roll out to",
    text: "None has the tag, or there is none of that name. Nothing was changed.",
  },
  BK702: {
    title: "a member of an AS group",
    text: "AS takes a stopped member for a broken one and deletes it: such a server never gets another system. The group is rolled out, by its name. Nothing was changed.",
  },
  BK703: {
    title: "nodes are held by another rollout",
    text: "Its ID stands in their tag `bake-rollout`. One rollout at a time changes a node. Nothing was changed.",
  },
  BK704: {
    title: "an image that cannot be rolled out",
    text: "The new one or one that nodes have: it is not there, has no bake id, or is for another processor. Nothing was changed.",
  },
  BK705: {
    title: "a wave too large for the nodes that have to take jobs",
    text: "`rollout.minHealthy` could not be kept. Nothing was changed.",
  },
  BK706: {
    title: "a rollout that would replace the node it runs on",
    text: "By the agent of this job, or the host's name. Nothing was changed.",
  },
  BK707: {
    title: "nodes that cannot be told apart, or whose image nobody knows",
    text: "Agents are found by their host name, and the way back by the image. Nothing was changed.",
  },
  BK708: {
    title: "a journal that cannot be read",
    text: "A last line that was torn by a crash is no fault. Any other says that somebody changed the file.",
  },
  BK709: { title: "there is no such rollout", text: "Its journal lies in `out/rollouts/` of the machine that ran it." },
  BK710: { title: "a rollout runs already", text: "Another process holds its lock." },
  BK711: {
    title: "a rollout that is over",
    text: "It is done or was stopped: it is not resumed. A new one leaves what is right already as it is.",
  },
  BK712: {
    title: "Buildkite shows no agents",
    text: "Another organisation, or a token that may not see them: their jobs would be lost. Nothing was changed.",
  },
  BK713: {
    title: "an AS group that cannot be rolled out now",
    text: "It is paused, or adds or removes members, or has some in standby. Nothing was changed.",
  },
  BK714: {
    title: "a rollout of that ID is one to another image",
    text: "An ID goes on with what it began; another image is another rollout.",
  },
} as const satisfies Readonly<Record<`BK${number}`, Meaning>>;

/** A code of the table: another one does not compile. */
export type ErrorCode = keyof typeof errorCodes;
