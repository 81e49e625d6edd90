#!/bin/bash
# Builds a Postgres image from this machine's own Debian packages, without a registry.
#
#   docker/build-postgres-image.sh [TAG]        TAG is postgres:15 when it is left out
#
# Needs postgresql-15, busybox-static, util-linux and an engine that runs. The classic builder is
# used, because Debian's client comes without buildx.
set -euo pipefail

major=15
tag=${1:-postgres:$major}
from=/usr/lib/postgresql/$major
here=$(dirname "$0")

for need in "$from/bin/postgres" /usr/bin/setpriv; do
    [ -x "$need" ] || { echo "$0: there is no $need: install postgresql-$major and util-linux" >&2; exit 1; }
done
busybox=$(command -v busybox) || { echo "$0: there is no busybox: install busybox-static" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# Folders, the way Debian has them.
mkdir -p "$root"/usr/{bin,sbin,lib,lib64,share,lib/locale} "$root"/{etc,tmp,proc,sys,dev,root} \
    "$root"/run/postgresql "$root"/var/lib/postgresql/data "$root"/docker-entrypoint-initdb.d
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
ln -s ../run "$root/var/run"
chmod 1777 "$root/tmp"

# Postgres without its just-in-time compiler, which is off in every exercise and needs LLVM.
tar -C / --exclude='*/bitcode' --exclude='*/llvmjit*' --exclude='*/pgxs' \
    -c "${from#/}/lib" "usr/share/postgresql/$major" usr/share/zoneinfo usr/lib/locale/C.utf8 |
    tar -C "$root" -x
rm -rf "$root/usr/share/postgresql/$major/man" "$root"/usr/share/zoneinfo/{right,posix}
mkdir -p "$root$from/bin"
programs=()
for program in postgres initdb pg_ctl psql pg_isready pg_dump pg_restore createdb; do
    programs+=("$from/bin/$program")
    ln -s "$from/bin/$program" "$root/usr/bin/$program"
done
cp -a "${programs[@]}" "$root$from/bin/"
sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" \
    "$root/usr/share/postgresql/$major/postgresql.conf.sample"

# A shell and its tools. busybox has a setpriv of its own that can do less.
cp "$busybox" "$root/usr/bin/busybox"
for tool in $("$busybox" --list); do
    [ "$tool" = busybox ] || [ "$tool" = setpriv ] || [ -e "$root/usr/bin/$tool" ] ||
        ln -s busybox "$root/usr/bin/$tool"
done
cp /usr/bin/setpriv /usr/bin/locale "$root/usr/bin/"
install -m755 "$here/docker-entrypoint.sh" "$root/usr/bin/docker-entrypoint.sh"

# Every shared library that the programs and the extension modules name.
{
    ldd "${programs[@]}" /usr/bin/setpriv
    find "$root$from/lib" -name '*.so' -exec ldd {} +
} 2>/dev/null | awk '/=> \//{print $3} $1 ~ /^\/lib64/{print $1}' | sort -u | grep -v "$root" |
    while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$(dirname "$library")/"
    done

cat >"$root/etc/passwd" <<'FILE'
root:x:0:0:root:/root:/bin/sh
postgres:x:999:999::/var/lib/postgresql:/bin/sh
nobody:x:65534:65534::/:/bin/false
FILE
printf 'root:x:0:\npostgres:x:999:\nnogroup:x:65534:\n' >"$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
chown -R 999:999 "$root/var/lib/postgresql" "$root/run/postgresql"
chmod 700 "$root/var/lib/postgresql/data"

mkdir "$work/context"
tar -C "$root" --numeric-owner -cf "$work/context/rootfs.tar" .
cat >"$work/context/Dockerfile" <<FILE
FROM scratch
ADD rootfs.tar /
ENV PATH=$from/bin:/usr/sbin:/usr/bin LANG=C.UTF-8 PG_MAJOR=$major PGDATA=/var/lib/postgresql/data
ENTRYPOINT ["docker-entrypoint.sh"]
STOPSIGNAL SIGINT
EXPOSE 5432
CMD ["postgres"]
FILE
DOCKER_BUILDKIT=0 docker build -q -t "$tag" "$work/context"
