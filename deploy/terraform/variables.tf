variable "name" {
  description = "The name of the deployment. The names of its resources begin with it."
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
  description = "The folder with intake/bootstrap.zip and worker/bootstrap.zip, from `cargo xtask package`."
  type        = string
  validation {
    condition     = fileexists("${var.packages}/intake/bootstrap.zip") && fileexists("${var.packages}/worker/bootstrap.zip")
    error_message = "The folder has to hold intake/bootstrap.zip and worker/bootstrap.zip; `cargo xtask package` makes them."
  }
}

variable "github" {
  description = "Whether Beadle manages repositories or teams of GitHub. Creates the secret for the App."
  type        = bool
  default     = true
}

variable "directory" {
  description = "Whether Beadle manages groups of a directory (Okta). Creates the secrets for Okta and the SCIM target."
  type        = bool
  default     = true
}

variable "app_key_kms_arn" {
  description = "The ARN of an RSA key in KMS that signs as the GitHub App (aws-kms:ARN in beadle.toml). Null if the key is in the secret."
  type        = string
  default     = null
  validation {
    condition     = var.app_key_kms_arn == null || can(regex("^arn:aws[a-z-]*:kms:", var.app_key_kms_arn))
    error_message = "This has to be the ARN of a key in KMS."
  }
}

variable "secrets_key_arn" {
  description = "The ARN of a customer-managed KMS key for the secrets. Null for the key of AWS."
  type        = string
  default     = null
  validation {
    condition     = var.secrets_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:", var.secrets_key_arn))
    error_message = "This has to be the ARN of a key in KMS."
  }
}

variable "intake_policy_arns" {
  description = "ARNs of policies for further reads of the intake, such as an existing webhook secret."
  type        = list(string)
  default     = []
}

variable "worker_policy_arns" {
  description = "ARNs of policies for further reads of the worker, such as further secrets or an identity store."
  type        = list(string)
  default     = []
}

variable "secrets_recovery_days" {
  description = "The number of days in which a deleted secret can be restored. Its name is reserved in that time. 0 for none."
  type        = number
  default     = 30
  validation {
    condition     = var.secrets_recovery_days == 0 || (var.secrets_recovery_days >= 7 && var.secrets_recovery_days <= 30)
    error_message = "Secrets Manager keeps deleted secrets for 7 to 30 days, or not at all (0)."
  }
}

variable "existing_table" {
  description = "The name of a table that the functions use in place of the table of this module, such as a restored one."
  type        = string
  default     = null
  validation {
    condition     = var.existing_table == null || can(regex("^[A-Za-z0-9_.-]{3,255}$", var.existing_table))
    error_message = "A table's name has 3 to 255 letters, digits, hyphens, dots and underscores."
  }
}

variable "architecture" {
  description = "The architecture of the functions."
  type        = string
  default     = "x86_64"
  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "Lambda has x86_64 and arm64."
  }
}

variable "worker_memory" {
  description = "Memory of the worker, in MB. Its share of a processor depends on the memory."
  type        = number
  default     = 512
  validation {
    condition     = var.worker_memory >= 128 && var.worker_memory <= 10240
    error_message = "Lambda gives 128 to 10240 MB."
  }
}

variable "worker_concurrency" {
  description = "Maximum number of concurrent workers of a queue. They share the limits of the vendors."
  type        = number
  default     = 4
  validation {
    condition     = var.worker_concurrency >= 2 && var.worker_concurrency <= 100
    error_message = "This has to be from 2, which is Lambda's least, to 100."
  }
}

variable "log_level" {
  description = "The log level."
  type        = string
  default     = "info"
  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.log_level)
    error_message = "This has to be error, warn, info or debug."
  }
}

variable "log_retention_days" {
  description = "The retention of logs in days."
  type        = number
  default     = 90
  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400], var.log_retention_days)
    error_message = "This has to be 7, 14, 30, 60, 90, 180, 365 or 400."
  }
}

variable "throttling_rate" {
  description = "Maximum number of requests a second at the gateway."
  type        = number
  default     = 100
}

variable "throttling_burst" {
  description = "Maximum number of concurrent requests at the gateway."
  type        = number
  default     = 500
}

variable "domain_name" {
  description = "Your own domain for the gateway. Null for the domain of AWS."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "The certificate of that domain, in this region."
  type        = string
  default     = null
}

variable "alarm_topic_arn" {
  description = "The SNS topic for alarms. Null for alarms without a message."
  type        = string
  default     = null
}

variable "oldest_due_seconds" {
  description = "The time in seconds for which a key can wait before an alarm."
  type        = number
  default     = 1800
}

variable "token_days" {
  description = "The number of days before the end of the SCIM token at which an alarm is raised."
  type        = number
  default     = 30
}

variable "tags" {
  description = "Tags of all resources that support tags."
  type        = map(string)
  default     = {}
}
