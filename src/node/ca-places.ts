/** Where a node has the certificates of its site's authorities. */

/** One file each: a system's tools take one certificate a file. */
export const caFolder = "/etc/bake/ca";

/** All of them, and nothing else. */
export const caFile = "/etc/bake/ca.pem";

/** A link, made by provision.sh: all that the system trusts, those of the site among them. */
export const caBundle = "/etc/bake/ca-bundle.pem";
