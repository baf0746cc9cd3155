/** The programs that a unit starts. Pure. */

/** `init_t` may not execute what lies below these: admin_home_t, user_home_t, var_t, mnt_t, var_run_t, tmp_t and their like. */
const refused = ["/root", "/home", "/var", "/mnt", "/run", "/tmp"];

/** Programs of a unit's `Exec…=` lines, without the signs that may stand before them (systemd.service(5)). */
const programsOf = (unit: string): string[] =>
  [...unit.matchAll(/^[ \t]*Exec[A-Za-z]*[ \t]*=[ \t]*[-@:+!|]*"?([^\s"]+)/gm)].map(([, program = ""]) => program);

/** Programs of this unit that lie where SELinux does not let systemd start any; or that have no absolute path. */
export const startedElsewhere = (unit: string): string[] =>
  programsOf(unit).filter(
    (program) =>
      // systemd 239 takes absolute paths alone.
      !program.startsWith("/") ||
      program.split("/").includes("..") ||
      refused.some((folder) => program.replace(/\/+/g, "/").startsWith(`${folder}/`)),
  );
