/** Platforms of images: one has several spellings, and containerd and Docker take them all. Pure. */

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string | undefined;
}

const architectureNames: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
};

/** Variants that say nothing more than the architecture: every processor of it has what they ask for. */
const commonVariants: Readonly<Record<string, readonly string[]>> = {
  amd64: ["v1"],
  arm64: ["8", "v8", "v8.0"],
};

/** The one spelling of a platform, without a variant that every processor has (containerd/platforms: normalizeArch). */
export const normalizePlatform = ({ os, architecture, variant = "" }: Platform): Platform => {
  const written = architecture.toLowerCase();
  const normal = Object.hasOwn(architectureNames, written) ? (architectureNames[written] ?? written) : written;
  const lower = variant.toLowerCase();
  const common = lower === "" || (commonVariants[normal] ?? []).includes(lower);
  return { os: os.toLowerCase(), architecture: normal, ...(!common && { variant: lower }) };
};

/** Whether an image for a platform runs on every processor of an architecture, under Linux. @param architecture As Go has it. */
export const runsOnLinux = (platform: Platform, architecture: string): boolean => {
  const { os, architecture: found, variant } = normalizePlatform(platform);
  return os === "linux" && found === architecture && variant === undefined;
};

/** `linux/arm64/v8`, for a person. */
export const platformName = ({ os, architecture, variant = "" }: Platform): string =>
  [os, architecture, variant].filter((part) => part !== "").join("/");
