/**
 * Bytes of user-data that Huawei Cloud takes, before base64; gzip counts as it is (facts: ECS API reference, user_data).
 * The profile's rule estimates against it, `bake user-data` counts against it.
 */
export const userDataLimit = 32_000;
