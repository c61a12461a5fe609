import { allowAll, createRouteHandlers } from "hfdmd-nextjs/next";

// This example has no login and is reached as localhost only. In an app that others can reach, ask who they are here:
// authorize: async (request) => (await session(request))?.user.mayDownload === true
export const { GET, POST, PATCH, DELETE } = createRouteHandlers({ authorize: allowAll });
