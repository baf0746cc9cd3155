/** Names of environment variables that hold secrets. PWD is where a shell is. */
const secretName =
  /(?:(?:^|[_-])(?:(?:auth|access|api|id)?token|secret|passphrase|credentials?|(?:api|access|secret|private)[_-]?key|[as]k)|password|passwd|sshpass|[a-z][_-]pwd|docker_auth_config)$/i;

/** Whether a variable of this name holds a secret: GITHUB_TOKEN, AWS_SECRET_ACCESS_KEY, HW_SK. */
export const isSecretName = (name: string): boolean => secretName.test(name);

/** A variable such as ACCESS_TOKEN may say where a secret lies, by a path. */
export const saysWhere = (value: string): boolean => /^~?(?:\/[A-Za-z0-9._-]+)+$/.test(value);

/** An environment without its secrets: for commands that are given by name what they need of them. */
export const withoutSecrets = (
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !isSecretName(name)));
