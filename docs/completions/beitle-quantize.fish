complete -c beitle-quantize -s o -l output -d 'The weight file to write' -r -F
complete -c beitle-quantize -l key -d 'Key of the state dict in a .pth or .bin file that holds several, such as state_dict_ema [default: the first of the usual names]' -r
complete -c beitle-quantize -l precision -d 'Precision of the weights: f32; f16; int8 (activations are then quantised to int8 as well); int4 (half the size of int8, int8 activations); or auto (int8, with as many layers in half precision as --agreement needs)' -r -f -a "f32\t''
f16\t''
int8\t''
int4\t''
auto\t''"
complete -c beitle-quantize -l agreement -d 'For auto: the share of pixels that must agree with half precision, measured on the calibration pictures [default: 0.976, which makes models with random weights a quarter slower than plain int8]' -r
complete -c beitle-quantize -l sqnr-floor -d 'For int8, int4 and auto: keep layers in half precision whose weights would have a lower signal-to-noise ratio; they are listed as notes' -r
complete -c beitle-quantize -l recipe -d 'How to run the model: hf, as transformers does, or paper, as the published models were trained [default: hf for tensors named as in transformers, paper for those of unilm and mmsegmentation]' -r
complete -c beitle-quantize -l taps -d 'Number of backbone blocks before each of the four features that the neck of a segmentation model reads, such as 4,6,8,12 [default: as the checkpoint says]' -r
complete -c beitle-quantize -l heads -d 'Number of attention heads, if the checkpoint does not say' -r
complete -c beitle-quantize -l names -d 'Class names and colours, instead of the checkpoint\'s: a data set (ade20k, cityscapes, coco-stuff, voc, camvid), or a text file with one class per line, `name` or `red green blue name`' -r
complete -c beitle-quantize -l size -d 'Input size in pixels, multiples of the patch size. Nothing is then cut off a picture before it is classified [default: the preprocessor\'s under hf, else that the model was trained with]' -r
complete -c beitle-quantize -l conv -d 'For int8, int4 and auto: how the largest 3x3 convolutions run. winograd4: Winograd\'s F(4x4, 3x3), a quarter of the multiplications; winograd2: F(2x2, 3x3), a smaller file and less noise; direct: the smallest file. Winograd weights are always int8 [default: winograd4; for auto winograd2; for int4 direct]' -r -f -a "winograd4\t''
winograd2\t''
direct\t''"
complete -c beitle-quantize -l rounding -d 'How integer weights are rounded: compensated (each compensates for the rounding errors of those before it) or nearest (faster)' -r -f -a "compensated\t''
nearest\t''"
complete -c beitle-quantize -l calibrate -d 'Folder with a handful of typical pictures (JPEG, PNG, BMP, WebP, PNM) to calibrate rounding with [default: generated scenes]' -r -F
complete -c beitle-quantize -s h -l help -d 'Print help'
complete -c beitle-quantize -s V -l version -d 'Print version'
