# Sourced by bin/hadoop, hdfs, yarn and mapred: settings, class path, and Java in their place.
# Variables, their defaults and their order are those of Apache Hadoop 3.4's own launchers.
# shellcheck shell=bash

fail() {
    echo "ERROR: $*" >&2
    exit 1
}

usage() { # usage PROGRAM STATUS COMMAND...
    echo "Usage: $1 [--config DIR] [--loglevel LEVEL] COMMAND [ARGUMENT...]"
    echo "Commands: $(printf '%s\n' "${@:3}" | sort | paste -sd ' ')"
    exit "$2"
}

# Take the options before the command; what is left is in ARGUMENTS.
take_options() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --config) [ -d "${2:-}" ] || fail "no folder $2 for --config" && export HADOOP_CONF_DIR=$2 ;;
            --loglevel) HADOOP_LOGLEVEL=$2 ;;
            --daemon) fail "--daemon is not here: daemons run in the foreground" ;;
            *) break ;;
        esac
        shift 2
    done
    ARGUMENTS=("$@")
}

read_settings() { # read_settings PROGRAM
    export HADOOP_CONF_DIR=${HADOOP_CONF_DIR:-$HADOOP_HOME/etc/hadoop}
    export HADOOP_OPTS=${HADOOP_OPTS:--Djava.net.preferIPv4Stack=true}
    if [ -z "${HADOOP_ENV_PROCESSED:-}" ] && [ -f "$HADOOP_CONF_DIR/hadoop-env.sh" ]; then
        export HADOOP_ENV_PROCESSED=true
        # shellcheck disable=SC1091
        . "$HADOOP_CONF_DIR/hadoop-env.sh"
    fi
    if [ "$1" != hadoop ] && [ -f "$HADOOP_CONF_DIR/$1-env.sh" ]; then
        # shellcheck disable=SC1090
        . "$HADOOP_CONF_DIR/$1-env.sh"
    fi
    export HADOOP_COMMON_HOME=${HADOOP_COMMON_HOME:-$HADOOP_HOME}
    export HADOOP_HDFS_HOME=${HADOOP_HDFS_HOME:-$HADOOP_HOME}
    export HADOOP_YARN_HOME=${HADOOP_YARN_HOME:-$HADOOP_HOME}
    export HADOOP_MAPRED_HOME=${HADOOP_MAPRED_HOME:-$HADOOP_HOME}
    export MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-4}
    HADOOP_LOG_DIR=${HADOOP_LOG_DIR:-$HADOOP_HOME/logs}
    HADOOP_IDENT_STRING=${HADOOP_IDENT_STRING:-${USER:-$(id -nu)}}
    HADOOP_ROOT_LOGGER=${HADOOP_ROOT_LOGGER:-${HADOOP_LOGLEVEL:-INFO},console}
}

class_path() { # the variables' values may end in /*, which Java expands
    local share=$HADOOP_HOME/share/hadoop path=$HADOOP_CONF_DIR one
    for one in common/lib/\* common/\* hdfs hdfs/lib/\* hdfs/\* mapreduce/\* yarn yarn/lib/\* yarn/\*; do
        path+=:$share/$one
    done
    if [ -z "${HADOOP_CLASSPATH:-}" ]; then
        echo "$path"
    elif [ -n "${HADOOP_USER_CLASSPATH_FIRST:-}" ]; then
        echo "$HADOOP_CLASSPATH:$path"
    else
        echo "$path:$HADOOP_CLASSPATH"
    fi
}

# Add to HADOOP_OPTS, unless they name the same already.
add_option() { # add_option NAME OPTION
    [[ $HADOOP_OPTS == *"$1"* ]] || HADOOP_OPTS+=" $2"
}

add_heap() { # add_heap FLAG SIZE: megabytes where the size has no unit
    [ -n "$2" ] || return 0
    [[ $2 =~ ^[0-9]+$ ]] && set -- "$1" "$2m"
    add_option "$1" "-$1$2"
}

# What Java 17 keeps closed; Apache's launchers open the same since 3.4.2.
open_modules() {
    local one
    add_option IgnoreUnrecognizedVMOptions -XX:+IgnoreUnrecognizedVMOptions
    for one in java.io java.lang java.lang.reflect java.math java.net java.text java.util \
        java.util.concurrent java.util.zip sun.security.util sun.security.x509; do
        add_option "java.base/$one=" "--add-opens=java.base/$one=ALL-UNNAMED"
    done
}

verify_java() {
    [ -n "${JAVA_HOME:-}" ] || fail "JAVA_HOME is not set and could not be found."
    [ -x "$JAVA_HOME/bin/java" ] || fail "$JAVA_HOME/bin/java is not executable."
}

verify_log_folder() {
    mkdir -p "$HADOOP_LOG_DIR" 2>/dev/null || fail "Unable to create $HADOOP_LOG_DIR. Aborting."
    [ -w "$HADOOP_LOG_DIR" ] || fail "Unable to write in $HADOOP_LOG_DIR. Aborting."
}

# Become Java. A daemon takes HADOOP_OPTS and PROGRAM_COMMAND_OPTS, a client HADOOP_CLIENT_OPTS too.
launch() { # launch PROGRAM client|daemon COMMAND CLASS ARGUMENT...
    local program=$1 kind=$2 command=$3 class=$4
    local own=${program^^}_${command^^}_OPTS heap=${program^^}_${command^^}_HEAPSIZE
    shift 4
    verify_java
    if [ "$kind" = daemon ]; then
        verify_log_folder
    else
        HADOOP_OPTS+=" ${HADOOP_CLIENT_OPTS:-}"
    fi
    own=${own//[^A-Z_]/} heap=${heap//[^A-Z_]/}
    HADOOP_OPTS+=" ${!own:-}"
    add_heap Xmx "${!heap:-}"
    add_heap Xmx "${HADOOP_HEAPSIZE_MAX:-${HADOOP_HEAPSIZE:-}}"
    add_heap Xms "${HADOOP_HEAPSIZE_MIN:-}"
    open_modules
    add_option hadoop.log.dir "-Dhadoop.log.dir=$HADOOP_LOG_DIR"
    add_option yarn.log.dir "-Dyarn.log.dir=$HADOOP_LOG_DIR"
    add_option hadoop.log.file "-Dhadoop.log.file=${HADOOP_LOGFILE:-hadoop.log}"
    add_option hadoop.home.dir "-Dhadoop.home.dir=$HADOOP_HOME"
    add_option hadoop.id.str "-Dhadoop.id.str=$HADOOP_IDENT_STRING"
    add_option hadoop.root.logger "-Dhadoop.root.logger=$HADOOP_ROOT_LOGGER"
    add_option hadoop.policy.file "-Dhadoop.policy.file=${HADOOP_POLICYFILE:-hadoop-policy.xml}"
    add_option hadoop.security.logger \
        "-Dhadoop.security.logger=${HADOOP_SECURITY_LOGGER:-INFO,NullAppender}"
    CLASSPATH=$(class_path)
    export CLASSPATH HADOOP_OPTS
    # shellcheck disable=SC2086 # options are several words
    exec "$JAVA_HOME/bin/java" "-Dproc_$command" $HADOOP_OPTS "$class" "$@"
}

# Run the command of a program: CLASSES and DAEMONS say what it knows.
run() { # run PROGRAM ARGUMENT...
    local program=$1 command kind=client
    take_options "${@:2}"
    set -- "${ARGUMENTS[@]}"
    case "${1:-}" in
        "") usage "$program" 1 "${!CLASSES[@]}" classpath >&2 ;;
        --help | -help | -h) usage "$program" 0 "${!CLASSES[@]}" classpath ;;
    esac
    command=$1
    shift
    read_settings "$program"
    [[ " $DAEMONS " != *" $command "* ]] || kind=daemon
    if [ "$command" = classpath ]; then
        if [ $# = 0 ]; then
            class_path
        else
            launch "$program" client classpath org.apache.hadoop.util.Classpath "$@"
        fi
    elif [ -n "${CLASSES[$command]:-}" ]; then
        # shellcheck disable=SC2086 # a class may come with words that go before the arguments
        launch "$program" "$kind" "$command" ${CLASSES[$command]} "$@"
    elif [[ $command == *.* ]]; then
        launch "$program" client "$command" "$command" "$@"
    else
        fail "$command is not COMMAND nor fully qualified CLASSNAME."
    fi
}
