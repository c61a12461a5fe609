export { hfdmd as default } from "../../lib/hfdmd";
