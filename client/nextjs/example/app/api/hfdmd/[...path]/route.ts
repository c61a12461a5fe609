import { allowAll, createRouteHandlers } from "hfdmd-nextjs/next";

// This example has no login and is used on localhost only. In an app that others can reach, check the user here:
// authorize: async (request) => (await session(request))?.user.mayDownload === true
export const { GET, POST, PATCH, DELETE } = createRouteHandlers({ authorize: allowAll });
