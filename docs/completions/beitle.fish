# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_beitle_global_optspecs
    string join \n h/help V/version
end

function __fish_beitle_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_beitle_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_beitle_using_subcommand
    set -l cmd (__fish_beitle_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c beitle -n "__fish_beitle_needs_command" -s h -l help -d 'Print help'
complete -c beitle -n "__fish_beitle_needs_command" -s V -l version -d 'Print version'
complete -c beitle -n "__fish_beitle_needs_command" -f -a "segment" -d 'Write the class map of each picture'
complete -c beitle -n "__fish_beitle_needs_command" -f -a "stream" -d 'Segment frames of a camera or a video, from standard input to standard output'
complete -c beitle -n "__fish_beitle_needs_command" -f -a "classify" -d 'Print the most probable classes of each picture'
complete -c beitle -n "__fish_beitle_needs_command" -f -a "features" -d 'Write the features of pictures as a NumPy file: a vector for each, or all tokens'
complete -c beitle -n "__fish_beitle_needs_command" -f -a "info" -d 'Describe a weight file'
complete -c beitle -n "__fish_beitle_needs_command" -f -a "eval" -d 'Score models on a data set and compare them with a reference, such as the f32 file of the same checkpoint'
complete -c beitle -n "__fish_beitle_needs_command" -f -a "bench" -d 'Measure the time of each stage, the share of the processor\'s peak rate, and memory'
complete -c beitle -n "__fish_beitle_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -s m -l model -d 'Weight file, made by beitle-quantize [default: the demonstration model, models/demo.beitle]' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand segment" -s o -l output -d 'Where to write the map: a file for one picture (- for standard output), a folder for several [default: <name>.seg.png in the current folder]' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l name -d 'Names of the maps in the folder of the results; {stem} is the picture\'s name without its ending, {model} the weight file\'s. The other results lie beside the map [default: {stem}.seg.png]' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l mode -d 'How a picture is fitted to the network\'s input [default: as the weight file says, see `beitle info`]' -r -f -a "whole\t'Stretch the whole picture to the input size'
slide\t'Scale the short side to the window, at most 4:1, then slide a window over the picture'
native\t'Slide a window over the picture at its own resolution'"
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l scales -d 'Run the picture at several scales and average the probabilities: ratios of the window\'s size, such as 1,1.25,1.5, or `published` for 0.5,0.75,1,1.25,1.5,1.75. Requires --mode slide; needs two bytes of memory per pixel and class' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l map-size -d 'Size of the map: picture, logits (a quarter of the input\'s sides; faster), or WIDTHxHEIGHT' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l only -d 'Write a mask, 255 for the pixels of these classes (with --labels: of these labels) and 0 for all others: names, or numbers where no class has that name, separated by commas' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l labels -d 'JSON file with labels that replace the classes of the model: [{"name": "road", "classes": ["road", 52]}, {"name": "other", "others": true}]. The value of a label in the map is its index in the list. "colour": [r, g, b] is optional; without it, a label has the colour of its first class, or is grey' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l palette -d 'Colours of the map and the overlay: a file with a colour in each line (#rrggbb, or red, green and blue from 0 to 255; also GIMP\'s .gpl), in the order of the classes or labels, or `okabe-ito`, eight colours that colour-blind people can tell apart, for up to eight classes or labels [default: those of the weight file]' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l min-confidence -d 'Mark pixels whose class has a lower probability than P (0 to 1, in steps of 1/255) as unknown: 255 in the map, 65535 in maps of 16 bits, 0 in masks' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l alpha -d 'Weight of the classes\' colours in the overlay, 0 to 1 in steps of 1/256' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l logits -d 'Also write the logits as a NumPy file, f32 [classes, height, width]: a file for one picture, a folder for several. Only with --mode whole' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l min-area -d 'Smallest region to report, in pixels' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l connectivity -d 'Which pixels are connected: 4 (by edges) or 8 (by edges and corners)' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l max-regions -d 'Report at most N regions of a picture, the largest' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l point -d 'Add the most likely classes at a point of the map to the JSON; may be given several times' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l top -d 'Classes at each point' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l verify -d 'When to read the whole weight file and verify its checksums, without which a damaged file gives wrong results' -r -f -a "first\t'The first time this user uses the file, and after it has been replaced or changed'
always\t'Every time'
never\t'Not at all'"
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l max-pixels -d 'Refuse pictures of more than N pixels. Decoding takes at most 20 bytes per pixel' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l threads -d 'Number of threads; 0: one for each fast CPU that the process may use, or for each of --cores. CPUs with less than half the speed of the fastest are slow. With as many threads as CPUs, each has a CPU of its own; otherwise the system places them. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l cores -d 'CPUs on which the threads run, such as 4-7 or 0,2 (Linux), for example to leave out one that a real-time program keeps busy. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l isa -d 'Instruction set [default: the fastest available]. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l max-arena -d 'Largest arena that a run may ask for, in MiB, together with the memory for --flip, --scales, features and tokens. BEiT-large at 640x640 needs 42 MiB in int8 and 73 MiB in f32 (two threads), and about 35 MiB more for sliding windows' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l max-work -d 'Limit on the work for one window of a picture, in billions of multiply-accumulates. BEiT-large at 640x640 takes less than 2000' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l max-windows -d 'Most windows of one picture, in all views together' -r
complete -c beitle -n "__fish_beitle_using_subcommand segment" -s r -l recursive -d 'Also segment the pictures of folders in folders; their results go to folders of the same names'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l skip-existing -d 'Leave out pictures whose results exist already, to go on after an interruption'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -s q -l quiet -d 'Print nothing but errors'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -s v -l verbose -d 'Of several pictures, print the classes of each'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l native -d 'The same as --mode native'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l flip -d 'Run the mirrored picture too and average the probabilities. Doubles the run time; needs two bytes of memory per pixel and class'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l overlay -d 'Also write <name>.overlay.png: the picture blended with the colours of its classes, with a legend'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l no-legend -d 'Leave the legend out of the overlay, which then has the picture\'s size'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l confidence -d 'Also write <name>.confidence.png: the probability of each pixel\'s class, 255 for 1'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l geojson -d 'Also write <name>.geojson: a polygon for each region, in pixels of the map'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l json -d 'Print one JSON object per picture instead of a table'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l regions -d 'Add regions (connected pixels of a class) to the JSON: class, area, box and centroid'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l contours -d 'Add the contour of each region to the JSON: polygons along the edges of pixels'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l masks -d 'Add the mask of each class to the JSON, as COCO compressed RLE'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -l no-mmap -d 'Read weight files into memory instead of mapping them. A mapped file must not change while this program uses it'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c beitle -n "__fish_beitle_using_subcommand segment" -s V -l version -d 'Print version'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l format -d 'Frames are raw, in this pixel format [default: the stream is YUV4MPEG2, as of ffmpeg -f yuv4mpegpipe]' -r -f -a "nv12\t''
nv21\t''
i420\t''
yuyv\t''
uyvy\t''
rgb\t''
bgr\t''
rgba\t''
bgra\t''
gray\t''
rgb565\t''
gray16\t''"
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l size -d 'Width and height of raw frames in pixels' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l matrix -d 'Matrix of YUV frames' -r -f -a "bt601\t'Standard definition and most web cameras'
bt709\t'High definition'"
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l range -d 'Range of YUV frames [default: as YUV4MPEG2 says, else limited]. Grey frames always have the full range' -r -f -a "limited\t'Y from 16 to 235'
full\t'Y from 0 to 255'"
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l rotate -d 'Turn frames clockwise by 90, 180 or 270 degrees' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -s m -l model -d 'Weight file of a segmentation model, made by beitle-quantize' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l emit -d 'What to write for each frame' -r -f -a "map\t'The class (or label) of every pixel, a byte each; two bytes, the lower first, for more than 256 classes'
mask\t'255 for pixels of the classes of --only, 0 for others'
confidence\t'The probability of each pixel\'s class, a byte each, 255 for 1'
overlay\t'The frame blended with the colours of its classes'
json\t'A line of JSON: the number of the frame, and the pixels, box and centroid of each class'"
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l alpha -d 'Weight of the classes\' colours in the overlay, 0 to 1 in steps of 1/256' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l only -d 'Write a mask, 255 for the pixels of these classes (with --labels: of these labels) and 0 for all others: names, or numbers where no class has that name, separated by commas' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l labels -d 'JSON file with labels that replace the classes of the model: [{"name": "road", "classes": ["road", 52]}, {"name": "other", "others": true}]. The value of a label in the map is its index in the list. "colour": [r, g, b] is optional; without it, a label has the colour of its first class, or is grey' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l palette -d 'Colours of the map and the overlay: a file with a colour in each line (#rrggbb, or red, green and blue from 0 to 255; also GIMP\'s .gpl), in the order of the classes or labels, or `okabe-ito`, eight colours that colour-blind people can tell apart, for up to eight classes or labels [default: those of the weight file]' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l min-confidence -d 'Mark pixels whose class has a lower probability than P (0 to 1, in steps of 1/255) as unknown: 255 in the map, 65535 in maps of 16 bits, 0 in masks' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l min-area -d 'Smallest region to report, in pixels' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l connectivity -d 'Which pixels are connected: 4 (by edges) or 8 (by edges and corners)' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l max-regions -d 'Report at most N regions of a picture, the largest' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l every -d 'Run only one of N frames' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l mode -d 'How a picture is fitted to the network\'s input [default: as the weight file says, see `beitle info`]' -r -f -a "whole\t'Stretch the whole picture to the input size'
slide\t'Scale the short side to the window, at most 4:1, then slide a window over the picture'
native\t'Slide a window over the picture at its own resolution'"
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l scales -d 'Run the picture at several scales and average the probabilities: ratios of the window\'s size, such as 1,1.25,1.5, or `published` for 0.5,0.75,1,1.25,1.5,1.75. Requires --mode slide; needs two bytes of memory per pixel and class' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l verify -d 'When to read the whole weight file and verify its checksums, without which a damaged file gives wrong results' -r -f -a "first\t'The first time this user uses the file, and after it has been replaced or changed'
always\t'Every time'
never\t'Not at all'"
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l max-pixels -d 'Refuse pictures of more than N pixels. Decoding takes at most 20 bytes per pixel' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l threads -d 'Number of threads; 0: one for each fast CPU that the process may use, or for each of --cores. CPUs with less than half the speed of the fastest are slow. With as many threads as CPUs, each has a CPU of its own; otherwise the system places them. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l cores -d 'CPUs on which the threads run, such as 4-7 or 0,2 (Linux), for example to leave out one that a real-time program keeps busy. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l isa -d 'Instruction set [default: the fastest available]. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l max-arena -d 'Largest arena that a run may ask for, in MiB, together with the memory for --flip, --scales, features and tokens. BEiT-large at 640x640 needs 42 MiB in int8 and 73 MiB in f32 (two threads), and about 35 MiB more for sliding windows' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l max-work -d 'Limit on the work for one window of a picture, in billions of multiply-accumulates. BEiT-large at 640x640 takes less than 2000' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l max-windows -d 'Most windows of one picture, in all views together' -r
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l mirror -d 'Mirror frames left to right, after they have been turned'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l y4m -d 'Write YUV4MPEG2 [default: of overlays]'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l raw -d 'Write raw frames: overlays as RGB, the others as grey [default: of all but overlays]'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l regions -d 'Add regions (connected pixels of a class) to the JSON: class, area, box and centroid'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l contours -d 'Add the contour of each region to the JSON: polygons along the edges of pixels'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l masks -d 'Add the mask of each class to the JSON, as COCO compressed RLE'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l latest -d 'Drop frames that arrive while one is running, instead of letting the source wait'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -s q -l quiet -d 'Print no line each second, only the summary at the end'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l native -d 'The same as --mode native'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l flip -d 'Run the mirrored picture too and average the probabilities. Doubles the run time; needs two bytes of memory per pixel and class'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -l no-mmap -d 'Read weight files into memory instead of mapping them. A mapped file must not change while this program uses it'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c beitle -n "__fish_beitle_using_subcommand stream" -s V -l version -d 'Print version'
complete -c beitle -n "__fish_beitle_using_subcommand classify" -s m -l model -d 'Weight file of a classification model, made by beitle-quantize' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l top -d 'Print the N most probable classes' -r
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l logits -d 'Also write the logits as a NumPy file, f32 [classes]: a file for one picture, a folder for several' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l verify -d 'When to read the whole weight file and verify its checksums, without which a damaged file gives wrong results' -r -f -a "first\t'The first time this user uses the file, and after it has been replaced or changed'
always\t'Every time'
never\t'Not at all'"
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l max-pixels -d 'Refuse pictures of more than N pixels. Decoding takes at most 20 bytes per pixel' -r
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l threads -d 'Number of threads; 0: one for each fast CPU that the process may use, or for each of --cores. CPUs with less than half the speed of the fastest are slow. With as many threads as CPUs, each has a CPU of its own; otherwise the system places them. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l cores -d 'CPUs on which the threads run, such as 4-7 or 0,2 (Linux), for example to leave out one that a real-time program keeps busy. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l isa -d 'Instruction set [default: the fastest available]. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l max-arena -d 'Largest arena that a run may ask for, in MiB, together with the memory for --flip, --scales, features and tokens. BEiT-large at 640x640 needs 42 MiB in int8 and 73 MiB in f32 (two threads), and about 35 MiB more for sliding windows' -r
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l max-work -d 'Limit on the work for one window of a picture, in billions of multiply-accumulates. BEiT-large at 640x640 takes less than 2000' -r
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l max-windows -d 'Most windows of one picture, in all views together' -r
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l json -d 'Print one JSON object per picture instead of a table'
complete -c beitle -n "__fish_beitle_using_subcommand classify" -l no-mmap -d 'Read weight files into memory instead of mapping them. A mapped file must not change while this program uses it'
complete -c beitle -n "__fish_beitle_using_subcommand classify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c beitle -n "__fish_beitle_using_subcommand classify" -s V -l version -d 'Print version'
complete -c beitle -n "__fish_beitle_using_subcommand features" -s m -l model -d 'Weight file of a classification model or of a model without head, made by beitle-quantize' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand features" -s o -l output -d 'The NumPy file to write: f32 [pictures, channels], in the order of the pictures, those of a folder by name. The row of a picture that cannot be read is NaN' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand features" -l verify -d 'When to read the whole weight file and verify its checksums, without which a damaged file gives wrong results' -r -f -a "first\t'The first time this user uses the file, and after it has been replaced or changed'
always\t'Every time'
never\t'Not at all'"
complete -c beitle -n "__fish_beitle_using_subcommand features" -l max-pixels -d 'Refuse pictures of more than N pixels. Decoding takes at most 20 bytes per pixel' -r
complete -c beitle -n "__fish_beitle_using_subcommand features" -l threads -d 'Number of threads; 0: one for each fast CPU that the process may use, or for each of --cores. CPUs with less than half the speed of the fastest are slow. With as many threads as CPUs, each has a CPU of its own; otherwise the system places them. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand features" -l cores -d 'CPUs on which the threads run, such as 4-7 or 0,2 (Linux), for example to leave out one that a real-time program keeps busy. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand features" -l isa -d 'Instruction set [default: the fastest available]. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand features" -l max-arena -d 'Largest arena that a run may ask for, in MiB, together with the memory for --flip, --scales, features and tokens. BEiT-large at 640x640 needs 42 MiB in int8 and 73 MiB in f32 (two threads), and about 35 MiB more for sliding windows' -r
complete -c beitle -n "__fish_beitle_using_subcommand features" -l max-work -d 'Limit on the work for one window of a picture, in billions of multiply-accumulates. BEiT-large at 640x640 takes less than 2000' -r
complete -c beitle -n "__fish_beitle_using_subcommand features" -l max-windows -d 'Most windows of one picture, in all views together' -r
complete -c beitle -n "__fish_beitle_using_subcommand features" -l tokens -d 'Write all tokens after the last block, the class token first: f32 [pictures, tokens, channels]'
complete -c beitle -n "__fish_beitle_using_subcommand features" -l no-mmap -d 'Read weight files into memory instead of mapping them. A mapped file must not change while this program uses it'
complete -c beitle -n "__fish_beitle_using_subcommand features" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c beitle -n "__fish_beitle_using_subcommand features" -s V -l version -d 'Print version'
complete -c beitle -n "__fish_beitle_using_subcommand info" -l plan -d 'Draw the arena for this number of threads (2 if omitted): which buffer lies where, phase by phase' -r
complete -c beitle -n "__fish_beitle_using_subcommand info" -l verify -d 'Read the whole file and verify the checksum and the contents of every tensor'
complete -c beitle -n "__fish_beitle_using_subcommand info" -l no-mmap -d 'Read weight files into memory instead of mapping them. A mapped file must not change while this program uses it'
complete -c beitle -n "__fish_beitle_using_subcommand info" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c beitle -n "__fish_beitle_using_subcommand info" -s V -l version -d 'Print version'
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l labels -d 'Folder of label files: PNG files named like the pictures, whose pixel values are classes [default: found in DATA]' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand eval" -s m -l model -d 'Weight file; repeat the option for several [default: the demonstration model, models/demo.beitle]' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l against -d 'Reference to compare every model with, usually the f32 file of the same checkpoint' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l reduce-labels -d 'Whether label files number the classes from 1 and 0 is ignored, as in ADE20K [default: as the weight file says]' -r -f -a "true\t''
false\t''"
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l ignore -d 'Ignore pixels with this label [default: 255]' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l limit -d 'Use only the first N pictures; of folders of classes, one of each class in turn' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l json -d 'Write all results to a JSON file' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l html -d 'Write a self-contained HTML page with scores, noise by stage and the pictures with the lowest agreement' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l mode -d 'How a picture is fitted to the network\'s input [default: as the weight file says, see `beitle info`]' -r -f -a "whole\t'Stretch the whole picture to the input size'
slide\t'Scale the short side to the window, at most 4:1, then slide a window over the picture'
native\t'Slide a window over the picture at its own resolution'"
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l scales -d 'Run the picture at several scales and average the probabilities: ratios of the window\'s size, such as 1,1.25,1.5, or `published` for 0.5,0.75,1,1.25,1.5,1.75. Requires --mode slide; needs two bytes of memory per pixel and class' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l verify -d 'When to read the whole weight file and verify its checksums, without which a damaged file gives wrong results' -r -f -a "first\t'The first time this user uses the file, and after it has been replaced or changed'
always\t'Every time'
never\t'Not at all'"
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l max-pixels -d 'Refuse pictures of more than N pixels. Decoding takes at most 20 bytes per pixel' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l threads -d 'Number of threads; 0: one for each fast CPU that the process may use, or for each of --cores. CPUs with less than half the speed of the fastest are slow. With as many threads as CPUs, each has a CPU of its own; otherwise the system places them. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l cores -d 'CPUs on which the threads run, such as 4-7 or 0,2 (Linux), for example to leave out one that a real-time program keeps busy. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l isa -d 'Instruction set [default: the fastest available]. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l max-arena -d 'Largest arena that a run may ask for, in MiB, together with the memory for --flip, --scales, features and tokens. BEiT-large at 640x640 needs 42 MiB in int8 and 73 MiB in f32 (two threads), and about 35 MiB more for sliding windows' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l max-work -d 'Limit on the work for one window of a picture, in billions of multiply-accumulates. BEiT-large at 640x640 takes less than 2000' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l max-windows -d 'Most windows of one picture, in all views together' -r
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l native -d 'The same as --mode native'
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l flip -d 'Run the mirrored picture too and average the probabilities. Doubles the run time; needs two bytes of memory per pixel and class'
complete -c beitle -n "__fish_beitle_using_subcommand eval" -l no-mmap -d 'Read weight files into memory instead of mapping them. A mapped file must not change while this program uses it'
complete -c beitle -n "__fish_beitle_using_subcommand eval" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c beitle -n "__fish_beitle_using_subcommand eval" -s V -l version -d 'Print version'
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l image -d 'Picture to run [default: a generated one]' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l size -d 'Size of the generated picture in pixels [default: the network\'s input size]' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l mode -d 'How a picture is fitted to the network\'s input [default: as the weight file says, see `beitle info`]' -r -f -a "whole\t'Stretch the whole picture to the input size'
slide\t'Scale the short side to the window, at most 4:1, then slide a window over the picture'
native\t'Slide a window over the picture at its own resolution'"
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l scales -d 'Run the picture at several scales and average the probabilities: ratios of the window\'s size, such as 1,1.25,1.5, or `published` for 0.5,0.75,1,1.25,1.5,1.75. Requires --mode slide; needs two bytes of memory per pixel and class' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l max-pixels -d 'Refuse pictures of more than N pixels. Decoding takes at most 20 bytes per pixel' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l threads -d 'Number of threads; 0: one for each fast CPU that the process may use, or for each of --cores. CPUs with less than half the speed of the fastest are slow. With as many threads as CPUs, each has a CPU of its own; otherwise the system places them. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l cores -d 'CPUs on which the threads run, such as 4-7 or 0,2 (Linux), for example to leave out one that a real-time program keeps busy. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l isa -d 'Instruction set [default: the fastest available]. Results do not depend on it' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l max-arena -d 'Largest arena that a run may ask for, in MiB, together with the memory for --flip, --scales, features and tokens. BEiT-large at 640x640 needs 42 MiB in int8 and 73 MiB in f32 (two threads), and about 35 MiB more for sliding windows' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l max-work -d 'Limit on the work for one window of a picture, in billions of multiply-accumulates. BEiT-large at 640x640 takes less than 2000' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l max-windows -d 'Most windows of one picture, in all views together' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l runs -d 'Number of measured runs, after one run to warm up; up to five more time the stages. Medians are printed' -r
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l profile -d 'Also write the last run that times the stages as a Chrome trace, for chrome://tracing or Perfetto' -r -F
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l native -d 'The same as --mode native'
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l flip -d 'Run the mirrored picture too and average the probabilities. Doubles the run time; needs two bytes of memory per pixel and class'
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l no-mmap -d 'Read weight files into memory instead of mapping them. A mapped file must not change while this program uses it'
complete -c beitle -n "__fish_beitle_using_subcommand bench" -l json -d 'Print one JSON object instead of a table'
complete -c beitle -n "__fish_beitle_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c beitle -n "__fish_beitle_using_subcommand bench" -s V -l version -d 'Print version'
complete -c beitle -n "__fish_beitle_using_subcommand help; and not __fish_seen_subcommand_from segment stream classify features info eval bench help" -f -a "segment" -d 'Write the class map of each picture'
complete -c beitle -n "__fish_beitle_using_subcommand help; and not __fish_seen_subcommand_from segment stream classify features info eval bench help" -f -a "stream" -d 'Segment frames of a camera or a video, from standard input to standard output'
complete -c beitle -n "__fish_beitle_using_subcommand help; and not __fish_seen_subcommand_from segment stream classify features info eval bench help" -f -a "classify" -d 'Print the most probable classes of each picture'
complete -c beitle -n "__fish_beitle_using_subcommand help; and not __fish_seen_subcommand_from segment stream classify features info eval bench help" -f -a "features" -d 'Write the features of pictures as a NumPy file: a vector for each, or all tokens'
complete -c beitle -n "__fish_beitle_using_subcommand help; and not __fish_seen_subcommand_from segment stream classify features info eval bench help" -f -a "info" -d 'Describe a weight file'
complete -c beitle -n "__fish_beitle_using_subcommand help; and not __fish_seen_subcommand_from segment stream classify features info eval bench help" -f -a "eval" -d 'Score models on a data set and compare them with a reference, such as the f32 file of the same checkpoint'
complete -c beitle -n "__fish_beitle_using_subcommand help; and not __fish_seen_subcommand_from segment stream classify features info eval bench help" -f -a "bench" -d 'Measure the time of each stage, the share of the processor\'s peak rate, and memory'
complete -c beitle -n "__fish_beitle_using_subcommand help; and not __fish_seen_subcommand_from segment stream classify features info eval bench help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
