export { progressTracker as default } from "../../utils/server/progressTracker";
