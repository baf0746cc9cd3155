/** How many times larger layers are once they are unpacked: an estimate, images of toolchains have two to three. */
export const unpacked = 2.5;
