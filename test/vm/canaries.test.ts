/**
 * Secrets, from the bake to a node: a bake with canaries in every input, a node of that image (and other profile) on the data
 * disk of a node that became ready, that node set up partly by hand and checked by ssh, and the first profile again on its disk.
 */
import { bakeWithCanaries } from "./node/canaries.ts";
import { firstProfileAgain, useTheDisk } from "./node/first-again.ts";
import { checkByHand } from "./node/host-check.ts";
import { anotherProfile } from "./node/other-profile.ts";

const canaries = bakeWithCanaries();
const other = anotherProfile(canaries);
const used = useTheDisk(other);
checkByHand(other);
firstProfileAgain(other, used);
