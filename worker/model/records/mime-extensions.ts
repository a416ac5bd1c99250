/** The ending of a file whose name has none, by its type. */
const ENDINGS = `
7z application/x-7z-compressed
3g2 video/3gpp2
3gp video/3gpp
3mf application/vnd.ms-package.3dmanufacturing-3dmodel+xml
aac audio/aac
aiff audio/aiff
amf application/x-amf
amr audio/amr
apk application/vnd.android.package-archive
asf video/x-ms-asf
atom application/atom+xml
au audio/basic
avi video/x-msvideo
avif image/avif
bmp image/bmp
bpg image/bpg
bz2 application/x-bzip2
cab application/vnd.ms-cab-compressed
class application/x-java-applet
csv text/csv
dae model/vnd.collada+xml
dcm application/dicom
deb application/vnd.debian.binary-package
djvu image/vnd.djvu
doc application/msword
docx application/vnd.openxmlformats-officedocument.wordprocessingml.document
epub application/epub+zip
exe application/vnd.microsoft.portable-executable
flac audio/flac
flv video/x-flv
geojson application/geo+json
gif image/gif
glb model/gltf-binary
gpx application/gpx+xml
gz application/gzip
heic image/heic image/heic-sequence
heif image/heif image/heif-sequence
html text/html application/xhtml+xml
icns image/x-icns
ico image/x-icon
ics text/calendar
jar application/java-archive
jp2 image/jp2
jpg image/jpeg
js text/javascript
json application/json
jxl image/jxl
jxr image/jxr
kml application/vnd.google-earth.kml+xml
kmz application/vnd.google-earth.kmz
lua text/x-lua
m3u application/vnd.apple.mpegurl
m4a audio/x-m4a
m4v video/x-m4v
macho application/x-mach-binary
midi audio/midi
mkv video/x-matroska
mov video/quicktime
mp3 audio/mpeg
mp4 video/mp4 audio/mp4
mpc audio/musepack
msg application/vnd.ms-outlook
msi application/x-ms-installer
mpeg video/mpeg
ndjson application/x-ndjson
nes application/vnd.nintendo.snes.rom
odf application/vnd.oasis.opendocument.formula
odg application/vnd.oasis.opendocument.graphics
odp application/vnd.oasis.opendocument.presentation
ods application/vnd.oasis.opendocument.spreadsheet
odt application/vnd.oasis.opendocument.text
oga audio/ogg
ogv video/ogg
otf font/otf
ott application/vnd.oasis.opendocument.text-template
owl application/owl+xml
parquet application/vnd.apache.parquet
pdf application/pdf
php text/x-php
pl text/x-perl
png image/png
ppt application/vnd.ms-powerpoint
pptx application/vnd.openxmlformats-officedocument.presentationml.presentation
ps application/postscript
psd image/vnd.adobe.photoshop
py text/x-python
rar application/x-rar-compressed
rb text/x-ruby
rpm application/x-rpm
rss application/rss+xml
rtf text/rtf
sh text/x-shellscript
shx application/vnd.shx
so application/x-sharedlib
sqlite application/vnd.sqlite3
srt application/x-subrip
svg image/svg+xml
swf application/x-shockwave-flash
tar application/x-tar
tcl text/x-tcl
tcx application/vnd.garmin.tcx+xml
tsv text/tab-separated-values
ttc font/collection
ttf font/ttf
txt text/plain
vcf text/vcard
vsdx application/vnd.ms-visio.drawing.main+xml
vtt text/vtt
wasm application/wasm
wav audio/wav
webm video/webm
webp image/webp
woff font/woff
woff2 font/woff2
x3d model/x3d+xml
xcf image/x-xcf
xlf application/x-xliff+xml
xls application/vnd.ms-excel
xlsx application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
xml text/xml
xz application/x-xz
zip application/zip
zst application/zstd
`;

const byType = new Map(
  ENDINGS.trim()
    .split("\n")
    .flatMap((line) => {
      const [ending = "", ...types] = line.split(" ");
      return types.map((type) => [type, `.${ending}`] as const);
    }),
);

/** With its dot; "" for a type that has none. */
export const endingOf = (mime: string): string => byType.get(mime.split(";")[0]?.trim() ?? "") ?? "";
