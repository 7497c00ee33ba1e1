variable "name" {
  description = "The deployment's name; what is made is called so, or begins so."
  type        = string
  default     = "beadle"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "A name has up to 31 small letters, digits and hyphens, and begins with a letter."
  }
}

variable "configuration" {
  description = "The folder with beadle.toml and the policy."
  type        = string
  validation {
    condition     = fileexists("${var.configuration}/beadle.toml")
    error_message = "The folder has to hold a beadle.toml."
  }
}

variable "packages" {
  description = "The folder with intake/bootstrap.zip and worker/bootstrap.zip, as `cargo xtask package` makes them."
  type        = string
  validation {
    condition     = fileexists("${var.packages}/intake/bootstrap.zip") && fileexists("${var.packages}/worker/bootstrap.zip")
    error_message = "The folder has to hold intake/bootstrap.zip and worker/bootstrap.zip; `cargo xtask package` makes them."
  }
}

variable "github" {
  description = "Whether repositories of GitHub, or teams of it, are kept; makes the secret for the App."
  type        = bool
  default     = true
}

variable "directory" {
  description = "Whether groups of a directory (Okta) are kept; makes the secrets for Okta and the SCIM target."
  type        = bool
  default     = true
}

variable "app_key_kms_arn" {
  description = "The ARN of an RSA key in KMS that signs as the GitHub App (aws-kms:ARN in beadle.toml). Null where the key is in the secret."
  type        = string
  default     = null
  validation {
    condition     = var.app_key_kms_arn == null || can(regex("^arn:aws[a-z-]*:kms:", var.app_key_kms_arn))
    error_message = "This has to be the ARN of a key in KMS."
  }
}

variable "secrets_key_arn" {
  description = "The ARN of a customer-managed KMS key for the secrets. Null for AWS' own key."
  type        = string
  default     = null
  validation {
    condition     = var.secrets_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:", var.secrets_key_arn))
    error_message = "This has to be the ARN of a key in KMS."
  }
}

variable "intake_policy_arns" {
  description = "ARNs of policies for what else beadle.toml has the intake read, such as a webhook secret that was there before."
  type        = list(string)
  default     = []
}

variable "worker_policy_arns" {
  description = "ARNs of policies for what else beadle.toml has the worker read, such as further secrets, or an identity store."
  type        = list(string)
  default     = []
}

variable "secrets_recovery_days" {
  description = "For how many days a deleted secret can be had back, and its name stays taken; 0 for none."
  type        = number
  default     = 30
  validation {
    condition     = var.secrets_recovery_days == 0 || (var.secrets_recovery_days >= 7 && var.secrets_recovery_days <= 30)
    error_message = "Secrets Manager keeps deleted secrets for 7 to 30 days, or not at all (0)."
  }
}

variable "existing_table" {
  description = "The name of a table that the functions use in place of the one that is made here, such as one that was restored."
  type        = string
  default     = null
  validation {
    condition     = var.existing_table == null || can(regex("^[A-Za-z0-9_.-]{3,255}$", var.existing_table))
    error_message = "A table's name has 3 to 255 letters, digits, hyphens, dots and underscores."
  }
}

variable "architecture" {
  description = "What the functions were built for."
  type        = string
  default     = "x86_64"
  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "Lambda has x86_64 and arm64."
  }
}

variable "worker_memory" {
  description = "Memory of the worker, in MB; its share of a processor goes with it."
  type        = number
  default     = 512
  validation {
    condition     = var.worker_memory >= 128 && var.worker_memory <= 10240
    error_message = "Lambda gives 128 to 10240 MB."
  }
}

variable "worker_concurrency" {
  description = "The most workers that a queue feeds at once. Vendors' limits are shared among them."
  type        = number
  default     = 4
  validation {
    condition     = var.worker_concurrency >= 2 && var.worker_concurrency <= 100
    error_message = "This has to be from 2, which is Lambda's least, to 100."
  }
}

variable "log_level" {
  description = "What is logged."
  type        = string
  default     = "info"
  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.log_level)
    error_message = "This has to be error, warn, info or debug."
  }
}

variable "log_retention_days" {
  description = "For how many days logs are kept."
  type        = number
  default     = 90
  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400], var.log_retention_days)
    error_message = "This has to be 7, 14, 30, 60, 90, 180, 365 or 400."
  }
}

variable "throttling_rate" {
  description = "Requests a second that the gateway lets through."
  type        = number
  default     = 100
}

variable "throttling_burst" {
  description = "Requests at once that the gateway lets through."
  type        = number
  default     = 500
}

variable "domain_name" {
  description = "A domain of your own for the gateway. Null for the one of AWS."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "The certificate of that domain, in this region."
  type        = string
  default     = null
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms are sent to. Null for alarms that are only seen."
  type        = string
  default     = null
}

variable "oldest_due_seconds" {
  description = "For how long a key may wait until an alarm is raised."
  type        = number
  default     = 1800
}

variable "token_days" {
  description = "How many days before its end the SCIM token raises an alarm."
  type        = number
  default     = 30
}

variable "tags" {
  description = "Tags of everything that takes tags."
  type        = map(string)
  default     = {}
}
