/** The port that a URL means. */
export const portOf = ({ port, protocol }: URL): number => Number(port || (protocol === "http:" ? 80 : 443));
