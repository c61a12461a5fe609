import { allowAll, createApiHandler } from "hfdmd-nextjs/next-pages";

/** Downloads from the Hub. The hfdmd daemon does it; this handler passes the calls of pages/api on. The route's name selects the call. */
export const hfdmd = createApiHandler({ authorize: allowAll });
