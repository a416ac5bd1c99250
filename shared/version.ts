/** The release, told at registration so that a cluster knows its lowest member. */
export const VERSION = "0.1.0";
