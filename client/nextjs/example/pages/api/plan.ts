export { hfdmd as default } from "../../utils/server/download.huggingface";
