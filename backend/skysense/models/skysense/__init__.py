"""The factorised SkySense encoder: Swin V2 for HR, ViT for S2 and S1, fusion with dates, geo-context prototypes."""
