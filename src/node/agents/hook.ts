/** The agents' environment hook: what each job gets before anything of it runs. Pure. */
import type { NodeFile } from "../concern.ts";
import { places } from "./service.ts";

/** A site's own part of the hook; nothing of bake's has this name. */
const siteHook = `${places.hooks}/environment.site`;

/**
 * bash has EPOCHSECONDS from 5.0 on, and takes it from the environment before that. Without the special variable of newer
 * ones the hook sets it for all: shells that have it hide what is set here.
 */
export const environmentHook = (header: string): NodeFile => ({
  path: `${places.hooks}/environment`,
  mode: "0755",
  content: `#!/bin/bash
# ${header}
# Before each job. CI names a job's image by EPOCHSECONDS, which bash has from 5.0 on: without it all agents that build one
# commit share a name, and the first to finish removes the image of the others.
unset EPOCHSECONDS
EPOCHSECONDS=$(/opt/bake/bin/bake-epoch)
export EPOCHSECONDS
# What an earlier job of this agent changed in its view of a model is gone, as far as no container uses it.
agent=\${BUILDKITE_AGENT_NAME%-*cards} agent=\${agent##*-}
if [ -x /opt/bake/bin/bake-models ] && [[ $agent =~ ^[0-9]+$ ]]; then /opt/bake/bin/bake-models reset "$agent" || true; fi
unset agent
# The site's own hook.
if [ -e ${siteHook} ]; then
  # shellcheck source=/dev/null
  . ${siteHook}
fi
`,
});
