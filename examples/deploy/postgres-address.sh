# Read by backup.sh and restore.sh.
#
# Every user of the machine sees the arguments of a process (`ps`), but only its own user sees its environment. So the password
# of an address of PostgreSQL goes into the environment.

# Moves the password of the address in `database`, `user:password@` or the parameter `password`, to PGPASSWORD.
hide_password() {
  local password='' rest
  if [[ $database =~ ^([a-z]+://[^/?@:]*):([^/?@]*)@(.*)$ ]]; then
    password=${BASH_REMATCH[2]}
    database=${BASH_REMATCH[1]}@${BASH_REMATCH[3]}
  fi
  if [[ $database =~ ^(.*[?&])password=([^&]*)(.*)$ ]]; then
    password=${BASH_REMATCH[2]}
    rest=${BASH_REMATCH[3]#&}
    database=${BASH_REMATCH[1]}$rest
    database=${database%[?&]}
  fi
  [[ -n $password ]] || return 0
  # A percent sign begins the code of a character. A backslash stands for itself.
  password=${password//\\/\\\\}
  printf -v PGPASSWORD '%b' "${password//%/\\x}"
  export PGPASSWORD
}
