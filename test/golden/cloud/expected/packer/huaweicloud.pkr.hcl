# Made by bake from profile cloud; edit that.
# Credentials come from the environment: HW_ACCESS_KEY, HW_SECRET_KEY, and where they are needed HW_SECURITY_TOKEN, HW_PROJECT_NAME,
# HW_PROJECT_ID. Without HW_PROJECT_ID `packer validate` asks the cloud for it.
packer {
  required_version = ">= 1.11.0"
  required_plugins {
    huaweicloud = {
      source  = "github.com/huaweicloud/huaweicloud"
      version = ">= 1.2.2"
    }
  }
}

variable "artifacts" {
  type        = string
  description = "Folder with the artifacts by content address: sha256/ab/cdef… Everything in it is uploaded."
}

variable "output" {
  type        = string
  description = "Existing folder for manifest.json, which names the image."
}

variable "availability_zone" {
  type        = string
  default     = null
  description = "A zone that sells the flavor: without one the plugin draws one, whether it is sold there or not. bake image finds one."
}

variable "built_from" {
  type        = string
  default     = ""
  description = "For the image's description: commit and build of CI."

  # With what stands before it the service would refuse the image, an hour later.
  validation {
    condition     = length(var.built_from) <= 400 && length(regexall("[<>\\r\\n]", var.built_from)) == 0
    error_message = "The image's description takes 400 more characters, without line breaks and angle brackets."
  }
}

source "huaweicloud-ecs" "node" {
  region            = "cn-north-4"
  source_image      = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
  flavor            = "kc1.large.4"
  availability_zone = var.availability_zone

  # One group: of several the plugin would take the last for each. A subnet goes with its VPC only.
  vpc_id          = "11111111-2222-4333-8444-555555555555"
  subnets         = ["66666666-7777-4888-9999-aaaaaaaaaaaa"]
  security_groups = ["bbbbbbbb-cccc-4ddd-8eee-ffffffffffff"]
  # Without a bandwidth no address is made, whatever the default says: ssh goes to the private one.
  associate_public_ip_address = false

  volume_type = "SSD"
  volume_size = 40

  # Base64 already: what is not is encoded by the plugin, unless it looks as if it were.
  user_data = base64encode(file("../user-data/build.yaml"))

  # Else the image's name, in which there may be blanks: the cloud takes none in a server's.
  instance_name     = "bake-cloud"
  image_name        = "bake-cloud"
  image_description = join(" ", compact(["Made by bake from profile cloud; edit that.", var.built_from]))
  # Never left out: with more disks the default is another one.
  image_type = "system"
  image_tags = {
    "bake-profile" = "cloud"
  }
  wait_image_ready_timeout = "60m"

  communicator = "ssh"
  ssh_username = "root"
  ssh_timeout  = "15m"
}

build {
  sources = ["source.huaweicloud-ecs.node"]

  # Packer does not wait for user-data by itself.
  provisioner "shell" {
    inline = [
      "echo 'bake: step wait-cloud-init'",
      # Its last act in every version; 17.1 has no status, and 23.4 ends with 2 for a warning.
      "for i in $(seq 900); do [ ! -e /var/lib/cloud/instance/boot-finished ] || break; sleep 1; done",
      "if [ ! -e /var/lib/cloud/instance/boot-finished ]; then",
      "  echo 'bake: failed cloud-init did not come to its end within 15 minutes'",
      "  cloud-init --version 2>&1 || echo 'there is no cloud-init on this base: a node gets its user-data by it'",
      "  cloud-init status --long || echo \"cloud-init status: exit $? (1: it failed; 2: before 17.2 no such command, from 23.4 on done with warnings)\"",
      "  tail -n 20 /var/log/cloud-init-output.log || true",
      "  exit 1",
      "fi",
      # Told, and no more: a module that this base cannot do is no fault of the bake, whose steps look after themselves.
      "grep -qs '\"errors\": \\[\\]' /run/cloud-init/result.json || { echo 'bake: cloud-init ended with errors:'; cat /run/cloud-init/result.json || true; }",
      # scp puts a folder's content into a folder that is there, and else one level too high.
      "install -d -m 0700 /var/tmp/bake /var/tmp/bake/artifacts",
    ]
  }

  provisioner "file" {
    source      = "${path.root}/../node"
    destination = "/var/tmp/bake/"
  }

  provisioner "file" {
    source      = "${path.root}/../provision/"
    destination = "/var/tmp/bake/"
  }

  provisioner "file" {
    source      = "${var.artifacts}/"
    destination = "/var/tmp/bake/artifacts/"
  }

  # Hashes are compared in there, wherever the bytes came from.
  provisioner "shell" {
    environment_vars = ["BAKE_ARTIFACTS=file:///var/tmp/bake/artifacts"]
    inline           = ["bash /var/tmp/bake/stages.sh /var/tmp/bake"]
  }

  # Last: the key of this build too, which the plugin would leave in the image.
  provisioner "shell" {
    inline = ["bash /var/tmp/bake/hygiene.sh"]
  }

  error-cleanup-provisioner "shell" {
    inline = [
      "journalctl --no-pager -b -n 2000 | sed 's/^/bake: journal /'",
    ]
  }

  post-processor "manifest" {
    output = "${var.output}/manifest.json"
  }
}
